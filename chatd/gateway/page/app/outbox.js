/** Messages that are kept until the server has answered, in the order of writing. */

/**
 * @typedef {object} Draft What a person wants to send.
 * @property {string} to "#room", "@user", "@one,two,three"; of an edit the conversation's name
 * @property {string} body
 * @property {"text"|"action"|"snippet"|"edit"} kind
 * @property {number} replyTo seq of the message it replies to, 0 for none
 * @property {number} edits of an edit, the message's seq; else 0
 * @property {boolean} anyway send it although it has a forbidden word
 *
 * @typedef {Draft & {msgId: string, order: number, at: number}} Sent A message in the outbox.
 */
export {};
