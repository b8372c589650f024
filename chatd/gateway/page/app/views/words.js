// The PGP word list (Juola and Zimmermann, 1995): words for bytes that two people compare by telephone.
// As in chatd/proto/word_list.py; even places have two syllables, odd ones three.

const EVEN = (
  "aardvark absurd accrue acme adrift adult afflict ahead aimless algol allow alone ammo ancient apple " +
  "artist assume athens atlas aztec baboon backfield backward banjo beaming bedlamp beehive beeswax " +
  "befriend belfast berserk billiard bison blackjack blockade blowtorch bluebird bombast bookshelf " +
  "brackish breadline breakup brickyard briefcase burbank button buzzard cement chairlift chatter " +
  "checkup chisel choking chopper christmas clamshell classic classroom cleanup clockwork cobra " +
  "commence concert cowbell crackdown cranky crowfoot crucial crumpled crusade cubic dashboard deadbolt " +
  "deckhand dogsled dragnet drainage dreadful drifter dropper drumbeat drunken dupont dwelling eating " +
  "edict egghead eightball endorse endow enlist erase escape exceed eyeglass eyetooth facial fallout " +
  "flagpole flatfoot flytrap fracture framework freedom frighten gazelle geiger glitter glucose goggles " +
  "goldfish gremlin guidance hamlet highchair hockey indoors indulge inverse involve island jawbone " +
  "keyboard kickoff kiwi klaxon locale lockup merit minnow miser mohawk mural music necklace neptune " +
  "newborn nightbird oakland obtuse offload optic orca payday peachy pheasant physique playhouse pluto " +
  "preclude prefer preshrunk printer prowler pupil puppy python quadrant quiver quota ragtime ratchet " +
  "rebirth reform regain reindeer rematch repay retouch revenge reward rhythm ribcage ringbolt robust " +
  "rocker ruffled sailboat sawdust scallion scenic scorecard scotland seabird select sentence shadow " +
  "shamrock showgirl skullcap skydive slingshot slowdown snapline snapshot snowcap snowslide solo " +
  "southward soybean spaniel spearhead spellbind spheroid spigot spindle spyglass stagehand stagnate " +
  "stairway standard stapler steamship sterling stockman stopwatch stormy sugar surmount suspense " +
  "sweatband swelter tactics talon tapeworm tempest tiger tissue tonic topmost tracker transit trauma " +
  "treadmill trojan trouble tumor tunnel tycoon uncut unearth unwind uproot upset upshot vapor village " +
  "virus vulcan waffle wallet watchword wayside willow woodlark zulu"
).split(" ");
const ODD = (
  "adroitness adviser aftermath aggregate alkali almighty amulet amusement antenna applicant apollo " +
  "armistice article asteroid atlantic atmosphere autopsy babylon backwater barbecue belowground " +
  "bifocals bodyguard bookseller borderline bottomless bradbury bravado brazilian breakaway burlington " +
  "businessman butterfat camelot candidate cannonball capricorn caravan caretaker celebrate cellulose " +
  "certify chambermaid cherokee chicago clergyman coherence combustion commando company component " +
  "concurrent confidence conformist congregate consensus consulting corporate corrosion councilman " +
  "crossover crucifix cumbersome customer dakota decadence december decimal designing detector " +
  "detergent determine dictator dinosaur direction disable disbelief disruptive distortion document " +
  "embezzle enchanting enrollment enterprise equation equipment escapade eskimo everyday examine " +
  "existence exodus fascinate filament finicky forever fortitude frequency gadgetry galveston getaway " +
  "glossary gossamer graduate gravity guitarist hamburger hamilton handiwork hazardous headwaters " +
  "hemisphere hesitate hideaway holiness hurricane hydraulic impartial impetus inception indigo inertia " +
  "infancy inferno informant insincere insurgent integrate intention inventive istanbul jamaica jupiter " +
  "leprosy letterhead liberty maritime matchmaker maverick medusa megaton microscope microwave " +
  "midsummer millionaire miracle misnomer molasses molecule montana monument mosquito narrative nebula " +
  "newsletter norwegian october ohio onlooker opulent orlando outfielder pacific pandemic pandora " +
  "paperweight paragon paragraph paramount passenger pedigree pegasus penetrate perceptive performance " +
  "pharmacy phonetic photograph pioneer pocketful politeness positive potato processor provincial " +
  "proximate puberty publisher pyramid quantity racketeer rebellion recipe recover repellent replica " +
  "reproduce resistor responsive retraction retrieval retrospect revenue revival revolver sandalwood " +
  "sardonic saturday savagery scavenger sensation sociable souvenir specialist speculate stethoscope " +
  "stupendous supportive surrender suspicious sympathy tambourine telephone therapist tobacco tolerance " +
  "tomorrow torpedo tradition travesty trombonist truncated typewriter ultimate undaunted underfoot " +
  "unicorn unify universe unravel upcoming vacancy vagabond vertigo virginia visitor vocalist voyager " +
  "warranty waterloo whimsical wichita wilmington wyoming yesteryear yucatan"
).split(" ");
// Enough to recognize a key, and to prove one (docs/protocol.md, section 2, "Words of keys").
const KEY_WORDS = 4;
const PAIR_WORDS = 8;
const KEY = /^[0-9a-f]{64}$/;

/** @param {Iterable<number>} bytes @returns {string} */
export function wordsOf(bytes) {
  return [...bytes].map((byte, place) => (place % 2 ? ODD : EVEN)[byte]).join(" ");
}

/** @param {string | null} key the SHA-256 of a key in hex @returns {string} */
export function keyWords(key) {
  return key && KEY.test(key) ? wordsOf(unhex(key).slice(0, KEY_WORDS)) : "unknown";
}

/**
 * The words of two users for people to compare; the same ones, whoever asks.
 * @param {{keyHash: string, caHash: string}} own what this browser knows by itself, as SHA-256 in hex
 * @param {any} mine the answer to `whois` about this user
 * @param {any} theirs
 * @returns {Promise<string>}
 */
export async function verificationWords(own, mine, theirs) {
  const people = [mine, theirs].map((who) => ({ user: String(who.user), keys: keysOf(who) }));
  if (!people[0].keys.includes(own.keyHash)) {
    throw new Error("the server does not name this browser's key. To do: do not trust what it says of keys");
  }
  const unknown = people.filter(({ keys }) => keys.includes(""));
  if (unknown.length) {
    const names = unknown.map(({ user }) => user).join(" and ");
    throw new Error(`the server does not know all keys of ${names} yet. To do: compare after their next renewal`);
  }
  const text = new TextEncoder();
  const parts = [text.encode("chatd/verify/1\0"), unhex(own.caHash)];
  for (const { user, keys } of people.sort((one, other) => (one.user < other.user ? -1 : 1))) {
    const each = [...new Set(keys)].sort();
    parts.push(text.encode(`${user}\0${each.length}\0`), ...each.map(unhex));
  }
  const joined = new Uint8Array(await new Blob(/** @type {any} */ (parts)).arrayBuffer());
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", joined));
  return wordsOf(digest.slice(0, PAIR_WORDS));
}

/** @param {any} who @returns {string[]} the keys of the devices that may log in; "" for an unknown one */
function keysOf(who) {
  const valid = who.devices.filter((/** @type {any} */ one) => !one.revoked);
  return valid.map((/** @type {any} */ one) => (KEY.test(one.key ?? "") ? one.key : ""));
}

/** @param {string} text @returns {Uint8Array} */
function unhex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
