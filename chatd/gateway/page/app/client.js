/** The way from the model to the server and to the browser's storage. */

import { Fault } from "./fault.js";

export class Client {
  /** @param {import("./model.js").ChatModel} model */
  constructor(model) {
    this.model = model;
  }

  async start() {
    this.model.phase = "no-identity";
    this.model.touch("state");
  }

  /** @param {string} code @param {string} device */
  async join(code, device) {
    throw new Fault("E607", `this page cannot join yet: ${code.length} ${device.length}`);
  }
}
