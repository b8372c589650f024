/** What the browser keeps for this page: identity, cursor, drafts, outbox, recent messages. */

import { Fault } from "./fault.js";

const NAME = "chatd";
const VERSION = 1;
/**
 * "keep": identity, joining, owner, cursor; "drafts": texts by conversation; "outbox": messages by their
 * order; "recent": the last rows by conversation.
 */
const TABLES = ["keep", "drafts", "outbox", "recent"];

/** @typedef {"keep"|"drafts"|"outbox"|"recent"} Table */
/** @typedef {[table: Table, key: IDBValidKey, value: any]} Write `undefined` as value removes the entry. */

/** Open the storage; one in memory if the browser refuses, as it may in private mode. */
export async function openStore() {
  try {
    return await Store.open();
  } catch {
    return new MemoryStore();
  }
}

class Full extends Fault {
  constructor() {
    super("E606", "the browser has no more space for this page", "free disk space, then try again");
  }
}

export class Store {
  isKept = true;

  /** @param {IDBDatabase} database */
  constructor(database) {
    this.database = database;
    // Another tab forgets everything, or a newer page changes the tables.
    database.onversionchange = () => database.close();
  }

  static async open() {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      for (const table of TABLES) request.result.createObjectStore(table);
    };
    const store = new Store(await answer(request));
    // Some browsers open a database in private mode and refuse the first write.
    await store.write([["keep", "trial", 1]]).catch((fault) => {
      // On a full disk the identity can still be read.
      if (!(fault instanceof Full)) throw fault;
    });
    return store;
  }

  /**
   * @param {Table} table
   * @param {IDBValidKey} key
   * @returns {Promise<any>}
   */
  get(table, key) {
    return answer(this.#begin("readonly").objectStore(table).get(key));
  }

  /**
   * Return all entries of a table, by key.
   * @param {Table} table
   * @returns {Promise<[IDBValidKey, any][]>}
   */
  async all(table) {
    const entries = this.#begin("readonly").objectStore(table);
    const [keys, values] = await Promise.all([answer(entries.getAllKeys()), answer(entries.getAll())]);
    return keys.map((key, at) => [key, values[at]]);
  }

  /**
   * Write all or nothing; resolves when it is on the disk. Rejects with E606.
   * @param {Write[]} writes
   * @returns {Promise<void>}
   */
  async write(writes) {
    const transaction = this.#begin("readwrite");
    for (const [table, key, value] of writes) {
      const entries = transaction.objectStore(table);
      if (value === undefined) entries.delete(key);
      else entries.put(value, key);
    }
    await new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(undefined);
      transaction.onabort = () => reject(refusal(transaction.error));
    });
  }

  /** Remove everything. */
  async clear() {
    const transaction = this.#begin("readwrite");
    for (const table of TABLES) transaction.objectStore(table).clear();
    await new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(undefined);
      transaction.onabort = () => reject(refusal(transaction.error));
    });
  }

  /** @param {"readonly"|"readwrite"} mode */
  #begin(mode) {
    try {
      return this.database.transaction(TABLES, mode, { durability: "strict" });
    } catch {
      throw new Fault("E606", "the browser has closed the storage of this page", "reload the page");
    }
  }
}

/** The same tables, gone when the page is closed. */
export class MemoryStore {
  isKept = false;
  /** @type {Map<string, Map<IDBValidKey, any>>} */
  #tables = new Map(TABLES.map((table) => [table, new Map()]));

  /** @param {Table} table @param {IDBValidKey} key */
  async get(table, key) {
    return this.#tables.get(table)?.get(key);
  }

  /** @param {Table} table @returns {Promise<[IDBValidKey, any][]>} */
  async all(table) {
    return [...(this.#tables.get(table) ?? [])];
  }

  /** @param {Write[]} writes */
  async write(writes) {
    for (const [table, key, value] of writes) {
      if (value === undefined) this.#tables.get(table)?.delete(key);
      else this.#tables.get(table)?.set(key, value);
    }
  }

  async clear() {
    for (const table of this.#tables.values()) table.clear();
  }
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(refusal(request.error));
  });
}

/** @param {DOMException|null} error */
function refusal(error) {
  return error?.name === "QuotaExceededError" ? new Full() : new Fault("E606");
}
