"""The page against a real daemon: join, talk, reload, restart, be revoked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import WAIT_MS, require_chromium
from tests.support.daemon import Daemon
from tests.support.https import Https, gateway
from tests.support.joining import devices_of, invite
from tests.support.live_page import LivePage
from tests.support.rawclient import RawClient

Served = tuple[Daemon, Https]
ADMIN_READS = (
    *("users()", "roles()", "bans()", "certificates()", "devices()", "invites()", "held()", "asks()"),
    *("guests()", "stats()", "audit()", "roomInfo('#lobby')", "ban('ken', { dryRun: true })"),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    require_chromium()
    with gateway(tmp_path_factory.mktemp("live") / "home") as found:
        found[0].add_user("carol")
        yield found


@pytest.fixture
def tab(served: Served, browser: Browser) -> Iterator[LivePage]:
    """A tab of a browser without an identity."""
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(WAIT_MS)
    yield LivePage(context, served[1].port)
    context.close()


def test_a_newcomer_joins_and_talks_with_a_native_client(served: Served, tab: LivePage) -> None:
    daemon, _ = served
    code = invite(daemon, "bob").partition("/")[2]
    tab.join(f"https://127.0.0.1/#{code}", "chrome")
    assert tab.value("[model.me, model.device, model.role]") == ["bob", "chrome", "user"]
    assert devices_of(daemon, "bob") == ["chrome"]
    with RawClient(int(daemon.status()["address"].rpartition(":")[2]), daemon.identity("carol")) as carol:
        carol.logged_in()
        carol.ask("resume")
        tab.run("await model.enter('#lobby'); await model.send('from the page');")
        assert carol.until(type="message", body="from the page")["device"] == "chrome"
        carol.say("from the terminal")
        tab.wait("model.here.rows.some((row) => row.body === 'from the terminal')")
        tab.wait("model.unsent === 0 && model.here.pending.size === 0")
        assert tab.bodies("#lobby") == ["from the page", "from the terminal"]
        tab.run(
            "const [mine] = model.here.rows.filter((row) => row.mine); await model.edit(mine.seq, 'better');"
        )
        tab.wait("model.here.rows.some((row) => row.body === 'better' && row.edited)")
        tab.run("const [row] = model.here.rows.filter((row) => row.mine); await model.react(row.seq, '+1');")
        tab.wait("model.here.rows.some((row) => row.reactions[0]?.mine)")
        tab.wait("model.here.members.get('carol')?.state === 'online'")
    assert tab.value("model.search('terminal').then((found) => found.hits.length)") == 1
    tab.run("await model.createRoom('#war', { topic: 'here' }); await model.enter('@carol');")
    tab.run("await model.send('psst');")
    tab.wait("model.conversation('@bob,carol').message(model.here.newest)?.body === 'psst'")
    assert tab.value("model.listed().map((one) => model.title(one.name))") == ["#lobby", "#war", "@carol"]
    assert tab.value("model.rooms().then((all) => all.map((one) => one.room))") == ["#lobby", "#war"]


def test_a_reload_shows_what_was_there_and_goes_on(served: Served, tab: LivePage) -> None:
    daemon, _ = served
    tab.join(invite(daemon, "dave"))
    tab.run("await model.enter('#lobby'); for (const n of [1, 2, 3]) await model.send(`reload ${n}`);")
    tab.wait("model.unsent === 0 && model.here.pending.size === 0")
    tab.run("model.setDraft('#lobby', 'unfinished'); await model.client.memory.save();")
    tab.reload()
    tab.wait_connected()
    assert tab.bodies("#lobby")[-3:] == ["reload 1", "reload 2", "reload 3"]
    assert tab.value("[model.me, model.conversation('#lobby').draft]") == ["dave", "unfinished"]
    tab.run("await model.enter('#lobby'); await model.send('after');")
    tab.wait("model.here.rows.at(-1).body === 'after'")


def test_a_second_tab_waits_and_can_take_over(served: Served, tab: LivePage) -> None:
    daemon, https = served
    tab.join(invite(daemon, "erin"))
    other = LivePage(tab.page.context, https.port)
    other.wait("model.phase === 'other-tab'")
    refused = other.value("model.send('x', { to: '#lobby' }).catch((fault) => fault.code)")
    other.run("model.takeOver();")
    other.wait_connected()
    tab.wait("model.phase === 'other-tab'")
    other.run("await model.enter('#lobby'); await model.send('from the second tab');")
    other.wait("model.unsent === 0 && model.here.pending.size === 0")
    other.close()
    tab.wait_connected()
    tab.run("await model.enter('#lobby');")
    assert refused == "E606" and tab.bodies("#lobby").count("from the second tab") == 1


def test_a_revoked_page_is_told_and_stays_out(served: Served, tab: LivePage) -> None:
    daemon, _ = served
    tab.join(invite(daemon, "frank"))
    daemon.chatctl("revoke", "frank/web", "--yes")
    tab.wait("model.phase === 'ended'")
    assert tab.value("model.trouble.code") == "E206"
    tab.reload()
    tab.wait("model.phase === 'ended'")
    assert tab.value("[model.trouble.code, model.me]") == ["E206", "frank"]


@pytest.mark.parametrize("used", [True, False], ids=["used", "unknown"])
def test_an_invite_that_is_not_valid_is_explained(served: Served, tab: LivePage, used: bool) -> None:
    daemon, _ = served
    code = invite(daemon, "grace" if used else "heidi")
    if used:
        (daemon.home / "grace.pem").unlink(missing_ok=True)
        daemon.run("chat", "join", code, "--identity", str(daemon.home / "grace.pem"), "--no-chat")
    else:
        daemon.chatctl("invite", "cancel", "heidi")
    tab.wait("model.phase === 'no-identity'")
    told = tab.run("return model.join(given).catch((fault) => [fault.code, model.phase]);", code)
    assert told == ["E213" if used else "E214", "no-identity"]


def test_a_certificate_is_renewed_for_the_same_key(served: Served, tab: LivePage) -> None:
    daemon, _ = served
    tab.join(invite(daemon, "ivan"))
    before = tab.value("[model.identity.keyHash, model.client.holder.identity.certificate]")
    told = tab.value("model.client.holder.renewIfDue(true).then(() => '', (fault) => fault.code)")
    after = tab.value("[model.identity.keyHash, model.client.holder.identity.certificate]")
    assert told == "" and after[0] == before[0] and after[1] != before[1]
    tab.reload()
    tab.wait_connected()
    assert devices_of(daemon, "ivan") == ["web"]


def test_an_invite_made_in_the_page_works_for_native_clients(served: Served, tab: LivePage) -> None:
    daemon, _ = served
    code = invite(daemon, "judy", "--role", "admin")
    tab.join(code)
    made = tab.value("model.admin.invite('ken', { seconds: 3600 })")
    identity = daemon.home / "ken.pem"
    daemon.run("chat", "join", made["code"], "--identity", str(identity), "--no-chat")
    assert devices_of(daemon, "ken") and made["link"].startswith("https://127.0.0.1:")
    for acts in ADMIN_READS:
        assert tab.value(f"model.admin.{acts}.then(() => '', (fault) => fault.code)") == "", acts


def test_a_second_device_gets_a_free_name(served: Served, tab: LivePage, browser: Browser) -> None:
    daemon, https = served
    tab.join(invite(daemon, "leo"), "chrome")
    made = tab.value("model.admin.addDevice({ seconds: 3600 })")
    context = browser.new_context(ignore_https_errors=True)
    other = LivePage(context, https.port)
    other.join(made["code"], "chrome")
    devices = devices_of(daemon, "leo")
    assert other.value("model.me") == "leo" and len(devices) == 2 and "chrome" in devices
    context.close()


def test_a_clock_that_is_years_ahead_does_not_lock_out(served: Served, tab: LivePage) -> None:
    """The page renews its certificate, which seems to have ended, once; then it logs in all the same."""
    daemon, _ = served
    tab.join(invite(daemon, "mia"))
    before = tab.value("model.client.holder.identity.certificate")
    tab.run("model.clock = () => Date.now() + 10 * 365 * 86_400_000;")
    for _ in range(2):
        tab.run("model.client.uplink.stop(); model.phase = 'reconnecting'; model.reconnect();")
        tab.wait_connected()
    assert tab.value("model.client.holder.identity.certificate") != before
    tab.run("model.clock = () => 0; await model.enter('#lobby'); await model.send('in 1970');")
    tab.wait("model.unsent === 0")


def test_a_removed_and_returned_member_sees_no_gap(served: Served, tab: LivePage) -> None:
    daemon, _ = served
    tab.join(invite(daemon, "nina"))
    tab.run("await model.createRoom('#gap'); await model.send('before'); await model.leaveRoom('#gap');")
    tab.wait("!model.joined.has('#gap')")
    with RawClient(int(daemon.status()["address"].rpartition(":")[2]), daemon.identity("carol")) as carol:
        carol.logged_in()
        carol.ask("resume")
        carol.ask("join", room="#gap")
        for number in range(3):
            carol.say(f"meanwhile {number}", to="#gap")
    tab.run("await model.enter('#gap');")
    assert tab.bodies("#gap") == ["before", *(f"meanwhile {number}" for number in range(3))]


def test_no_message_makes_the_server_end_the_session(served: Served, tab: LivePage) -> None:
    """A message that ends each connection would be sent again on the next one, without end."""
    daemon, _ = served
    tab.join(invite(daemon, "olga"))
    tab.run("await model.enter('#lobby'); window.phases.length = 0;")
    bodies = ["x" * 40_000, "\U0001f600" * 17_000, "a\u0301" * 15_000, "\\" * 32_768]
    addresses = ["#", "#Bad Name", "@", "@,,", "@bob,,x", "#__proto__", "nowhere", "#" + "x" * 200]
    codes = tab.run(
        """
        const refused = (work) => work.then(() => "", (fault) => fault.code);
        const found = [];
        for (const body of given[0]) found.push(await refused(model.send(body)));
        for (const to of given[1]) found.push(await refused(model.send("hello", { to })));
        found.push(await refused(model.send("hello", { replyTo: 2 ** 53 - 1 })));
        found.push(await refused(model.edit(5, "x")));
        await model.send("last");
        return found;
        """,
        [bodies, addresses],
    )
    tab.wait("model.unsent === 0")
    assert codes[:2] == ["E401", "E401"]
    assert tab.value("[model.phase, window.phases.includes('reconnecting')]") == ["connected", False]
