"""The enrol process: it redeems invites, and alone holds the CA's key (ADR 29)."""
