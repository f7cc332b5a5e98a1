// Key groups: the unit in which keyed state is stored, moved and owned.
//
// Every key belongs to one of `maxParallelism` groups for the life of a job; a subtask owns a
// contiguous range of groups. Rescaling moves ranges between subtasks and never rehashes a key.
// The formulas are Flink's (KeyGroupRangeAssignment), so its rescaling behaviour is ours.
//   G1. For any parallelism, the subtasks' ranges partition all groups, in order.
//   G2. `ownerOfGroup` and `rangeOfSubtask` agree.
//   G3. A key's group depends on the key and on maxParallelism alone.

import { keyBytes, keyTag, type Key } from "./key.ts";
import { murmur3 } from "./murmur3.ts";

/** A key group's number, from 0 to maxParallelism - 1. */
export type KeyGroup = number & { readonly __brand: "KeyGroup" };

/** Consecutive key groups; both ends belong to the range. */
export interface KeyGroupRange {
  readonly first: KeyGroup;
  readonly last: KeyGroup;
}

/** One piece of a rescaling: `range` leaves old subtask `from` for new subtask `to`. */
export interface RangeMove {
  readonly from: number;
  readonly to: number;
  readonly range: KeyGroupRange;
}

/** Key groups of a job that says nothing else. */
export const maxParallelismDefault = 128;
/** Most key groups a job may have, as in Flink: a group's number fits in 15 bits. */
export const maxParallelismMax = 32768;

// Strings of up to this many UTF-16 units are hashed from a reused buffer, without allocating. The
// buffer takes three bytes a unit, UTF-8's most, after the tag.
const SCRATCH_UNITS = 512;
const scratch = new Uint8Array(1 + 3 * SCRATCH_UNITS);
const scratchText = scratch.subarray(1);
const encoder = new TextEncoder();
scratch[0] = keyTag.utf8;

const scratchNumber = new Uint8Array(9);
const scratchNumberView = new DataView(scratchNumber.buffer);
scratchNumber[0] = keyTag.number;

/**
 * The key group of a key. Called once per record on the way out of a subtask; `maxParallelism` is
 * trusted here and checked once, by `checkMaxParallelism`, when the job is built.
 */
export function keyGroupOf(key: Key, maxParallelism: number): KeyGroup {
  return (hashOfKey(key) % maxParallelism) as KeyGroup;
}

/** What a key's group is made of: `murmur3` of its bytes. The tests hold the two against each other. */
export function hashOfKey(key: Key): number {
  switch (typeof key) {
    case "string":
      return hashOfString(key);
    case "number":
      if (Number.isNaN(key)) return murmur3(keyBytes(key));
      scratchNumberView.setFloat64(1, key === 0 ? 0 : key, true);
      return murmur3(scratchNumber);
    default:
      return murmur3(keyBytes(key));
  }
}

function hashOfString(key: string): number {
  const units = key.length;
  if (units > SCRATCH_UNITS) return murmur3(keyBytes(key));
  for (let i = 0; i < units; i++) {
    const unit = key.charCodeAt(i);
    if (unit >= 0x80) return hashOfWideString(key);
    scratch[i + 1] = unit;
  }
  return murmur3(scratch, 0, units + 1);
}

function hashOfWideString(key: string): number {
  if (!key.isWellFormed()) return murmur3(keyBytes(key));
  return murmur3(scratch, 0, encoder.encodeInto(key, scratchText).written + 1);
}

/** Throws unless this many key groups are possible. Call it where a job is built. */
export function checkMaxParallelism(maxParallelism: number): void {
  const possible = Number.isInteger(maxParallelism) && maxParallelism >= 1;
  if (possible && maxParallelism <= maxParallelismMax) return;
  throw new RangeError(
    `maxParallelism is ${maxParallelism}; it must be a whole number from 1 to ${maxParallelismMax}`,
  );
}

/** Throws unless a job with this many key groups can run at this parallelism. */
export function checkParallelism(parallelism: number, maxParallelism: number): void {
  checkMaxParallelism(maxParallelism);
  if (Number.isInteger(parallelism) && parallelism >= 1 && parallelism <= maxParallelism) return;
  throw new RangeError(
    `parallelism is ${parallelism}; it must be a whole number from 1 to ` +
      `maxParallelism, which is ${maxParallelism} (a subtask owns at least one key group)`,
  );
}

/** A number as a key group of a job with `maxParallelism` groups, or a RangeError. */
export function keyGroup(group: number, maxParallelism: number): KeyGroup {
  if (Number.isInteger(group) && group >= 0 && group < maxParallelism) return group as KeyGroup;
  throw new RangeError(`Key group ${group} is not one of 0 to ${maxParallelism - 1}`);
}

/** All key groups of a job. */
export function allKeyGroups(maxParallelism: number): KeyGroupRange {
  return { first: 0 as KeyGroup, last: (maxParallelism - 1) as KeyGroup };
}

/** The key groups that subtask `index` of `parallelism` owns. Never empty. */
export function rangeOfSubtask(
  index: number,
  parallelism: number,
  maxParallelism: number,
): KeyGroupRange {
  checkParallelism(parallelism, maxParallelism);
  if (!Number.isInteger(index) || index < 0 || index >= parallelism) {
    throw new RangeError(`Subtask ${index} is not one of 0 to ${parallelism - 1}`);
  }
  return {
    first: Math.ceil((index * maxParallelism) / parallelism) as KeyGroup,
    last: Math.floor(((index + 1) * maxParallelism - 1) / parallelism) as KeyGroup,
  };
}

/** The index of the subtask that owns a key group. */
export function ownerOfGroup(group: KeyGroup, parallelism: number, maxParallelism: number): number {
  return Math.floor((group * parallelism) / maxParallelism);
}

/** How many key groups a range has. */
export function rangeSize(range: KeyGroupRange): number {
  return range.last - range.first + 1;
}

/** Whether a range has this key group. */
export function rangeHas(range: KeyGroupRange, group: number): boolean {
  return group >= range.first && group <= range.last;
}

/** The key groups two ranges share, or `undefined` when there are none. */
export function intersectRanges(a: KeyGroupRange, b: KeyGroupRange): KeyGroupRange | undefined {
  const first = Math.max(a.first, b.first) as KeyGroup;
  const last = Math.min(a.last, b.last) as KeyGroup;
  return first <= last ? { first, last } : undefined;
}

/**
 * What a change of parallelism moves: for every new subtask, in order, the pieces of the old
 * subtasks' ranges that make up its own. A subtask that keeps a piece has a move to itself.
 */
export function rangeMoves(from: number, to: number, maxParallelism: number): RangeMove[] {
  const moves: RangeMove[] = [];
  for (let index = 0; index < to; index++) {
    const target = rangeOfSubtask(index, to, maxParallelism);
    const firstOwner = ownerOfGroup(target.first, from, maxParallelism);
    const lastOwner = ownerOfGroup(target.last, from, maxParallelism);
    for (let owner = firstOwner; owner <= lastOwner; owner++) {
      const range = intersectRanges(target, rangeOfSubtask(owner, from, maxParallelism));
      if (range !== undefined) moves.push({ from: owner, to: index, range });
    }
  }
  return moves;
}
