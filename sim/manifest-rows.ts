// Manifests in the coordinator's own storage (`storage: "inline"`), behind the calls of the bucket.
//   F1. A manifest stands once the write that made it is durable: from then on it is seen from
//       outside, as one in the bucket is.

import type { Bucket } from "./bucket.ts";
import type { Instance } from "./host.ts";

export type Manifests = ReadonlyMap<string, Uint8Array>;

/** The calls that a coordinator makes on whatever keeps its manifests. */
export type ManifestStore = Pick<Bucket, "create" | "get" | "delete" | "list">;

export class ManifestRows implements ManifestStore {
  readonly #read: () => Manifests;
  readonly #write: (manifests: Manifests) => void;

  constructor(read: () => Manifests, write: (manifests: Manifests) => void) {
    this.#read = read;
    this.#write = write;
  }

  create(...[from, path, bytes, on]: Parameters<Bucket["create"]>): void {
    const isCreated = !this.#read().has(path);
    if (isCreated) this.#write(new Map([...this.#read(), [path, bytes]]));
    answer(from, () => on.done(isCreated));
  }

  get(...[from, path, on]: Parameters<Bucket["get"]>): void {
    const bytes = this.#read().get(path);
    answer(from, () => on.done(bytes));
  }

  delete(...[from, paths, on]: Parameters<Bucket["delete"]>): void {
    const kept = new Map(this.#read());
    for (const path of paths) kept.delete(path);
    this.#write(kept);
    answer(from, on.done);
  }

  list(...[from, on]: Parameters<Bucket["list"]>): void {
    const paths = [...this.#read().keys()];
    answer(from, () => on.done(paths));
  }
}

/** Nothing waits for another machine, but whoever asked goes on in an event of its own. */
const answer = (from: Instance<unknown>, tell: () => void): void => from.later(0, tell);
