// What will go wrong, and after how long: drawn from the seed before anything runs, so that a seed is
// a schedule. Pure; `strikes.ts` carries it out.
//   Z1. Some faults come in bursts, so that recoveries are struck too, and some leave time enough
//       for a recovery and a checkpoint.
//   Z2. The objects are places in a list whose order does not change from run to run.

import type { Prng } from "../../sim/prng.ts";

export type Fault =
  /** SIGKILL of every process, and so many milliseconds until the next start. */
  | { readonly kind: "kill"; readonly downtime: number }
  /** One object loses its memory and what is not durable yet. */
  | { readonly kind: "abort"; readonly object: number }
  /** One object is asked to go, as the platform has idle ones go; one that is held stays. */
  | { readonly kind: "evict"; readonly object: number }
  /** A connection breaks: a request after so many bytes, or all that its answer would have said. */
  | { readonly kind: "cut"; readonly side: "request"; readonly bytes: number }
  | { readonly kind: "cut"; readonly side: "answer" }
  /** Nothing is sent for so many milliseconds. */
  | { readonly kind: "pause"; readonly milliseconds: number }
  /** One of the last bodies is sent again, several times at once, each under its old key. */
  | { readonly kind: "repeat"; readonly age: number; readonly copies: number };

export type FaultKind = Fault["kind"];

export interface Planned {
  /** Milliseconds from the fault before it, or from the restart where that was a kill. */
  readonly gap: number;
  readonly fault: Fault;
}

/** How often each kind is drawn, against the others. */
const weights: Readonly<Record<FaultKind, number>> = {
  kill: 2,
  abort: 8,
  evict: 4,
  cut: 5,
  pause: 1,
  repeat: 3,
};
export const faultKinds = Object.keys(weights) as FaultKind[];
const drum = faultKinds.flatMap((kind) => Array.from({ length: weights[kind] }, () => kind));

/** Milliseconds between two faults, in a burst and otherwise, and how often it is a burst. */
const gapInBurst = [0, 250] as const;
const gapOtherwise = [400, 3_000] as const;
const burstShare = 0.3;

/** Milliseconds, bytes, bodies. */
const downtimeMax = 1_500;
const pauseRange = [500, 3_000] as const;
const cutBytesMax = 30_000;
const copiesMax = 4;
/** Bodies that can be repeated: the last so many. */
export const bodiesRemembered = 100;

export interface World {
  /** How long things go wrong. */
  readonly milliseconds: number;
  readonly objects: number;
  /** So many of them, the last ones, are held by nobody, so that an eviction finds them ready to go. */
  readonly loose: number;
}

/** Of the evictions: against an object that is held by nobody. */
const looseShare = 0.6;

/** Faults for the time of the world and, as restarts take time too, some more than that. */
export function drawSchedule(prng: Prng, world: World): Planned[] {
  const planned: Planned[] = [];
  let gap = prng.between(...gapOtherwise);
  for (let at = gap; at < world.milliseconds; at += gap) {
    planned.push({ gap, fault: drawFault(prng, world) });
    gap = prng.chance(burstShare) ? prng.between(...gapInBurst) : prng.between(...gapOtherwise);
  }
  return planned;
}

function drawFault(prng: Prng, { objects, loose }: World): Fault {
  const kind = prng.pick(drum);
  switch (kind) {
    case "kill":
      return { kind, downtime: prng.below(downtimeMax) };
    case "abort":
      return { kind, object: prng.below(objects) };
    case "evict": {
      const isLoose = prng.chance(looseShare);
      return { kind, object: isLoose ? objects - 1 - prng.below(loose) : prng.below(objects) };
    }
    case "cut":
      return prng.chance(0.5)
        ? { kind, side: "answer" }
        : { kind, side: "request", bytes: prng.below(cutBytesMax) };
    case "pause":
      return { kind, milliseconds: prng.between(...pauseRange) };
    case "repeat":
      return { kind, age: prng.below(bodiesRemembered), copies: prng.between(1, copiesMax) };
  }
}
