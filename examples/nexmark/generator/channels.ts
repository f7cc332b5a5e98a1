// Where bids come through: four channels that half of them use, and ten thousand others, each with a
// page of its own.

import { below, seedOf, textOf } from "./random.ts";

const hot = ["Google", "Facebook", "Baidu", "Apple"] as const;
const others = 10_000;
/** Of the others, one in so many has no channel_id in its address. */
const withoutIdOneIn = 10;

/** Seeds of addresses lie where no event is. */
const firstSeed = 2 ** 52;

const made = { channels: undefined, urls: undefined } as {
  channels: readonly string[] | undefined;
  urls: readonly string[] | undefined;
};

/** All channels; what an event has of them is a position. */
export const channelTexts = (): readonly string[] =>
  (made.channels ??= [...hot, ...Array.from({ length: others }, (_, i) => `channel-${i}`)]);

/** The address of each. */
export const urlTexts = (): readonly string[] =>
  (made.urls ??= [
    ...hot.map((_, i) => pageOf(i)),
    ...Array.from({ length: others }, (_, i) => pageOf(hot.length + i) + idOf(i)),
  ]);

/** The channel of an event, drawn from two places. */
export function channelAt(seed: number, place: number): number {
  if (below(seed, place, 2) > 0) return below(seed, place + 1, hot.length);
  return hot.length + below(seed, place + 1, others);
}

function pageOf(channel: number): string {
  const seed = seedOf(firstSeed + channel);
  const parts = [0, 1, 2].map((part) => textOf(seed, 8 * part, 5, "_"));
  return `https://www.nexmark.com/${parts.join("/")}/item.htm?query=1`;
}

function idOf(other: number): string {
  const isWithout = below(seedOf(firstSeed + hot.length + other), 32, withoutIdOneIn) === 0;
  return isWithout ? "" : `&channel_id=${Math.abs(reversed(other))}`;
}

/** The 32 bits of a number in reverse order. As the result may be negative, its size is what counts. */
function reversed(bits: number): number {
  let out = 0;
  for (let bit = 0; bit < 32; bit++) out = (out << 1) | ((bits >>> bit) & 1);
  return out;
}
