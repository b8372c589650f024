/** Put the server's advice into words that work in this page: it names commands of the terminal clients. */

/** Parts of advice, and the page's own way; tried in this order. @type {[RegExp, string][]} */
const WAYS = [
  [/see \/rooms or chatctl rooms, or create it/, "find or make a room with the + beside Rooms"],
  [/(?:see:? )?(\/rooms|chatctl rooms)( or chatctl rooms)?/, "see the + beside Rooms"],
  [/or create it/, "or make it with the + beside Rooms"],
  [/(?:see )?(\/who\b|chatctl users|chatctl who \S+)( or (chatctl users|chatctl who \S+))?/, "see the members of your rooms, on the right"],
  [/(\/whois (\S+)) or chatctl whois \S+/, "$1"],
  [/chatctl whois/, "/whois"],
  [/remove it: \/redact \S+/, "remove it for everybody, in its menu"],
  [/ask one of them: \/room\b/, "ask one of them; About this room names them"],
  [/name another one first: \/owner NAME/, "name another one first, in About this room"],
  [/end that first: \/owner \S+ --remove/, "end that first, in About this room"],
  [/create a room: \/create/, "make a room with the + beside Rooms"],
  [/\/part\b/, "/leave"],
  [/begin another one: \/group/, "begin another one: /join @NAME,NAME"],
  [/invite them first: \/invite (\S+)/, "invite $1 first, with the + above the members"],
  [/(?:see )?(\/bans|chatctl bans)( or chatctl bans)?/, "see Bans, under Server in the menu"],
  [/\/mutes( or chatctl mutes)?/, "chatctl mutes"],
  [/(?:see: )?chatctl (asks|held list|invite list|guest list)/, "see Waiting, under Server in the menu"],
  [/: chatctl invite cancel \S+/, ", under Server in the menu: Waiting"],
  [/: chatctl (revoke|role set) \S+( ROLE| --all)?/, ", under Server in the menu: People"],
  [/ \((chatctl|on the box: chatd) [^)]*\)/, ""],
  [/on another device of yours run: chat device add NEW/, "make an invite on another device of yours, under Your devices in the menu"],
  [/a device adds (\S+) with chat device add/, "their own devices add $1, under Your devices in the menu"],
  [/a new identity file/, "a new invite"],
  [/update (the older of client and server|the older of the two|both programs)/, "reload the page"],
];
/** What a page cannot do. */
const ELSEWHERE = /(?<![\w/.-])(chatctl|chat) (?=-*[a-z])/;
const PLACE = "at a terminal";

/**
 * Return advice in the page's own words; doing so again changes nothing.
 * @param {string} fix
 */
export function inPage(fix) {
  let text = fix;
  for (const [part, way] of WAYS) text = text.replace(part, way);
  return ELSEWHERE.test(text) && !text.includes(PLACE) ? `${text}, ${PLACE}` : text;
}
