// R2 as the simulated objects see it: slow at times, failing at times, and at times failing after
// it did what it was asked.
//   B1. An operation takes effect at one moment, whatever becomes of the caller.
//   B2. `create` writes only where nothing stands under the name, and says so.

import type { Instance, Scene } from "./host.ts";

export interface BucketWatch {
  created(path: string, bytes: Uint8Array): void;
  deleted(path: string): void;
}

export class Bucket {
  readonly files: Map<string, Uint8Array>;
  /** Files that whoever wrote them could not delete, being dead or replaced, or by a failure of R2. */
  readonly strays = new Set<string>();
  readonly #scene: Scene;
  readonly #watch: BucketWatch;
  #reads = 0;

  constructor(scene: Scene, files: Map<string, Uint8Array>, watch: BucketWatch) {
    this.files = files;
    this.#scene = scene;
    this.#watch = watch;
  }

  create(
    from: Instance<unknown>,
    path: string,
    bytes: Uint8Array,
    on: { readonly done: (isCreated: boolean) => void; readonly failed: () => void },
  ): void {
    this.#operation(
      from,
      `create ${path}`,
      () => {
        if (this.files.has(path)) return false;
        if (from.isDead || from.isZombie) this.strays.add(path);
        this.files.set(path, bytes);
        this.#watch.created(path, bytes);
        return true;
      },
      on,
    );
  }

  get(
    from: Instance<unknown>,
    path: string,
    on: {
      readonly done: (bytes: Uint8Array | undefined) => void;
      readonly failed: () => void;
    },
  ): void {
    this.#reads++;
    this.#operation(from, `get ${path}`, () => this.files.get(path), on);
  }

  delete(
    from: Instance<unknown>,
    paths: readonly string[],
    on: { readonly done: () => void; readonly failed: () => void },
  ): void {
    this.#operation(
      from,
      `delete ${paths.join(" ")}`,
      () => {
        for (const path of paths) if (this.files.delete(path)) this.#watch.deleted(path);
      },
      on,
    );
  }

  list(
    from: Instance<unknown>,
    on: { readonly done: (paths: readonly string[]) => void; readonly failed: () => void },
  ): void {
    this.#operation(from, "list", () => [...this.files.keys()], on);
  }

  /** Files that were asked for so far. */
  get reads(): number {
    return this.#reads;
  }

  /** Stands somewhere else, where it is seen as here. */
  placed(path: string, bytes: Uint8Array): void {
    this.files.set(path, bytes);
    this.#watch.created(path, bytes);
  }

  removed(path: string): void {
    this.files.delete(path);
    this.#watch.deleted(path);
  }

  #operation<T>(
    from: Instance<unknown>,
    title: string,
    effect: () => T,
    on: { readonly done: (result: T) => void; readonly failed: () => void },
  ): void {
    const { clock, faults, log } = this.#scene;
    const delay = faults.strikes("slowBucket") ? faults.prng.between(100, 8_000) : faults.latency();
    const fails = faults.strikes("bucketError");
    const hasEffect = !fails || faults.prng.chance(0.5);
    clock.later(delay, () => {
      const result = hasEffect ? effect() : undefined;
      log?.(
        `bucket: ${title} by ${from.title}${fails ? (hasEffect ? ": done, but fails" : ": fails") : ""}`,
      );
      clock.later(faults.latency(), () => {
        if (from.isDead) return;
        if (fails) on.failed();
        else on.done(result as T);
      });
    });
  }
}
