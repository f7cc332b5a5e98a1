// What every simulated Durable Object has in common: one name, storage that outlives it, and one
// instance at a time that answers to the name, with memory that does not outlive it.
//   H1. What an instance sends waits until its writes so far are durable (the output gate). A crash
//       before that loses the writes and whatever waited for them.
//       All writes of one event are durable together, or none is.
//   H2. A dead instance does nothing more. One that was replaced goes on with its memory and may
//       send, but cannot write: what would have to wait for a write of it is never sent.
//   H3. Calls by name reach the instance of the moment, which wakes up for them.

import type { Clock } from "./clock.ts";
import type { Faults } from "./faults.ts";

/** What a world is made of, for those that act in it. */
export interface Scene {
  readonly clock: Clock;
  readonly faults: Faults;
  readonly log: ((line: string) => void) | undefined;
  /** Told of whatever an object does that costs something: what wakes it, what it sends and writes. */
  readonly stirred: (what: string) => void;
}

/** Storage of one object: one value, replaced whole, and an alarm. */
export interface Stored<S> {
  readonly value: S;
  /** In the object's own time. */
  readonly alarm?: number;
}

/** One event's writes. */
interface Write<S> {
  readonly turn: number;
  readonly order: number;
  stored: Stored<S>;
}

export abstract class Host<S, I extends Instance<S>> {
  readonly name: string;
  readonly scene: Scene;
  readonly #zombies = new Set<I>();
  #instance: I | undefined;
  #durable: Stored<S>;
  /** With the writes that are not durable yet. */
  #written: Stored<S>;
  #lastWrite: Write<S>;
  #landed = 0;
  #landsAt = 0;
  /** Changes with every crash: what was being written before is lost. */
  #epoch = 0;
  #held: { readonly after: number; readonly act: () => void }[] = [];
  #armed = 0;
  #isFiring = false;
  /** What its clock shows beyond the true time. */
  skew: number;

  constructor(name: string, scene: Scene, initial: S) {
    this.name = name;
    this.scene = scene;
    this.#durable = { value: initial };
    this.#written = this.#durable;
    this.#lastWrite = { turn: -1, order: 0, stored: this.#durable };
    this.skew = scene.faults.skew();
  }

  /** Makes an instance out of what is durable. */
  protected abstract wake(stored: S): I;
  /** The alarm's handler. */
  protected abstract onAlarm(instance: I): void;
  /** Something has become durable. */
  protected onDurable(_stored: S): void {}
  /** Writes after that one are lost. */
  protected onCrash(_landed: number): void {}

  get durable(): S {
    return this.#durable.value;
  }

  /** Whoever answers to the name, if anyone is awake. */
  get awake(): I | undefined {
    return this.#instance;
  }

  get instance(): I {
    if (this.#instance === undefined) {
      const instance = this.wake(this.#durable.value);
      this.#instance = instance;
      instance.born();
    }
    return this.#instance;
  }

  get time(): number {
    return Math.max(0, Math.floor(this.scene.clock.now + this.skew));
  }

  // Storage, as its instance sees it.

  get stored(): Stored<S> {
    return this.#written;
  }

  write(stored: Stored<S>): void {
    const { clock, faults } = this.scene;
    this.#written = stored;
    const write = this.#lastWrite;
    if (write.turn === clock.turn) {
      write.stored = stored;
      if (this.#landed === write.order) this.#lands(write);
      return;
    }
    const next = { turn: clock.turn, order: write.order + 1, stored };
    this.#lastWrite = next;
    const delay = faults.strikes("slowWrite") ? faults.prng.between(1, 200) : 0;
    if (delay === 0 && this.#landed === write.order) return this.#lands(next);
    this.#landsAt = Math.max(this.#landsAt, clock.now + delay);
    const epoch = this.#epoch;
    clock.later(this.#landsAt - clock.now, () => {
      if (epoch === this.#epoch) this.#lands(next);
    });
  }

  /** Something beside the value is written with this event; answers its place among the writes. */
  touch(): number {
    this.write(this.#written);
    return this.#lastWrite.order;
  }

  /** Does it once everything written so far is durable. */
  gate(act: () => void): void {
    const { order } = this.#lastWrite;
    if (this.#landed === order) act();
    else this.#held.push({ after: order, act });
  }

  #lands({ stored, order }: Write<S>): void {
    const before = this.#durable;
    this.#durable = stored;
    this.#landed = order;
    if (stored.value !== before.value) this.onDurable(stored.value);
    if (stored.alarm !== before.alarm || this.#isFiring) this.#arm();
    if (this.#held.length === 0) return;
    const due = this.#held.filter(({ after }) => after <= order);
    this.#held = this.#held.filter(({ after }) => after > order);
    for (const { act } of due) act();
  }

  // Death.

  /** Loses its memory, or where a zombie is drawn goes on beside the next instance. */
  crash({ mayHaunt = true }: { readonly mayHaunt?: boolean } = {}): void {
    const { faults, log } = this.scene;
    const old = this.#instance;
    const { order } = this.#lastWrite;
    const lost = order - this.#landed;
    this.onCrash(this.#landed);
    this.#epoch++;
    this.#written = this.#durable;
    this.#lastWrite = { turn: -1, order, stored: this.#durable };
    this.#landed = order;
    this.#held = [];
    this.#landsAt = 0;
    this.#instance = undefined;
    this.#arm();
    this.skew = faults.skew();
    const isZombie = old !== undefined && mayHaunt && faults.strikes("zombie");
    log?.(`${this.name} ${isZombie ? "is replaced" : "crashes"}, ${lost} writes lost`);
    if (old === undefined) return;
    if (!isZombie) return old.die();
    old.replaced({ isCutOff: lost > 0 });
    this.#zombies.add(old);
    this.scene.clock.later(faults.prng.between(10, 4_000), () => {
      this.#zombies.delete(old);
      old.die();
    });
  }

  buryZombies(): void {
    for (const zombie of this.#zombies) zombie.die();
    this.#zombies.clear();
  }

  // Alarms.

  #arm(): void {
    const armed = ++this.#armed;
    this.#isFiring = false;
    const { alarm } = this.#durable;
    if (alarm === undefined) return;
    const { clock, faults } = this.scene;
    const late = faults.strikes("alarm") ? faults.prng.between(50, 3_000) : faults.prng.below(5);
    clock.later(Math.max(1, alarm - this.skew - clock.now) + late, () => this.#fire(armed, alarm));
  }

  #fire(armed: number, alarm: number): void {
    if (armed !== this.#armed || this.#durable.alarm !== alarm) return;
    const { clock, faults, log, stirred } = this.scene;
    stirred(`the alarm of ${this.name}`);
    if (faults.strikes("alarm")) {
      if (faults.prng.chance(0.5)) {
        // It was begun and failed; the platform tries again.
        log?.(`${this.name} alarm fails, and will be tried again`);
        return clock.later(2_000, () => this.#fire(armed, alarm));
      }
      clock.later(faults.prng.between(1, 100), () => {
        log?.(`${this.name} alarm once more`);
        this.onAlarm(this.instance);
      });
    }
    // Until the handler's writes are durable, or it is over without any, the alarm stands.
    this.#isFiring = true;
    this.onAlarm(this.instance);
    if (!this.#isFiring || this.#landed !== this.#lastWrite.order) return;
    this.#isFiring = false;
    const { alarm: _, ...durable } = this.#durable;
    this.#durable = durable;
    this.#written = durable;
  }
}

export abstract class Instance<S> {
  readonly host: Host<S, Instance<S>>;
  #state: "alive" | "replaced" | "cut off" | "dead" = "alive";
  readonly #mourners = new Set<() => void>();

  constructor(host: Host<S, Instance<S>>) {
    this.host = host;
  }

  /** What its constructor does once it answers to the name. */
  born(): void {}

  /** Whether the platform may take its memory, as nothing is under way. */
  abstract get isAsleep(): boolean;

  get isDead(): boolean {
    return this.#state === "dead";
  }

  get isZombie(): boolean {
    return this.#state === "replaced" || this.#state === "cut off";
  }

  get title(): string {
    return this.isZombie ? `${this.host.name} (zombie)` : this.host.name;
  }

  write(stored: Stored<S>): void {
    this.host.scene.stirred(`a write of ${this.title}`);
    if (this.#state === "alive") this.host.write(stored);
    else if (this.#state === "replaced") this.#state = "cut off";
  }

  /** Does what leaves the object, once the gate opens. */
  send(act: () => void): void {
    this.host.scene.stirred(`a message of ${this.title}`);
    if (this.#state === "alive") this.host.gate(act);
    else if (this.#state === "replaced") act();
  }

  /** Something of its own that happens later, unless it has died by then. */
  later(delay: number, run: () => void): void {
    this.host.scene.clock.later(delay, () => {
      if (!this.isDead) run();
    });
  }

  /** Told when it dies; the result takes that back. */
  whenDead(tell: () => void): () => void {
    this.#mourners.add(tell);
    return () => this.#mourners.delete(tell);
  }

  replaced({ isCutOff }: { readonly isCutOff: boolean }): void {
    this.#state = isCutOff ? "cut off" : "replaced";
  }

  die(): void {
    if (this.#state === "dead") return;
    this.#state = "dead";
    const mourners = [...this.#mourners];
    this.#mourners.clear();
    for (const tell of mourners) tell();
  }
}
