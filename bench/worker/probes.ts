// What is asked of a runtime that is busy with something else: the bare round trip of a call.

import { DurableObject } from "cloudflare:workers";

export class Echo extends DurableObject {
  async ping(): Promise<void> {}
}
