// R2 as the simulated objects see it: slow at times, failing at times, and at times failing after
// it did what it was asked.
//   B1. An operation takes effect at one moment, whatever becomes of the caller.
//   B2. `create` writes only where nothing stands under the name, and says so.
//   B3. A file that was damaged is read as what was made of it; checks see it as it was written.

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
  /** What became of files; undefined where they are gone. */
  readonly #damaged = new Map<string, Uint8Array | undefined>();

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
    this.#operation(from, `get ${path}`, () => this.#found(path), on);
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
        for (const path of paths) {
          this.#damaged.delete(path);
          if (this.files.delete(path)) this.#watch.deleted(path);
        }
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

  /** A byte of it is another from now on, or its end is missing, or all of it. */
  damage(path: string): void {
    const bytes = this.files.get(path);
    if (bytes === undefined) return;
    const { prng } = this.#scene.faults;
    const how = prng.pick(["changed", "changed", "cut short", "removed"] as const);
    this.#scene.log?.(`bucket: ${path} is ${how}`);
    if (how === "removed") return void this.#damaged.set(path, undefined);
    const at = prng.below(bytes.length);
    const found = how === "changed" ? bytes.slice() : bytes.slice(0, at);
    if (how === "changed") found[at] = found[at]! ^ (1 << prng.below(8));
    this.#damaged.set(path, found);
  }

  isDamaged(path: string): boolean {
    return this.#damaged.has(path);
  }

  #found(path: string): Uint8Array | undefined {
    return this.#damaged.has(path) ? this.#damaged.get(path) : this.files.get(path);
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
