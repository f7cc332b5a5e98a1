// The events of Nexmark: by the generator's rules, and the same however they are asked for.

import { describe, expect, test } from "vitest";

import { bidAt, bidColumns, bidFields, fillBids } from "../../examples/nexmark/generator/bid.ts";
import { eventAt } from "../../examples/nexmark/generator/events.ts";
import { baseTime, bidsIn, eventOfBid } from "../../examples/nexmark/generator/stream.ts";
import { isAuction, isBid, isPerson } from "../../examples/nexmark/model.ts";

const rate = 10_000;
const events = Array.from({ length: 50_000 }, (_, n) => eventAt(n, rate));
const persons = events.filter(isPerson);
const auctions = events.filter(isAuction);
const bids = events.filter(isBid);

const share = (all: readonly unknown[], of: readonly unknown[]): number => of.length / all.length;
const mean = (numbers: readonly number[]): number =>
  numbers.reduce((sum, n) => sum + n, 0) / numbers.length;

describe("the events", () => {
  test("are one person, three auctions and 46 bids in turn", () => {
    const kinds = events.slice(100, 150).map((e) => (isPerson(e) ? "p" : isAuction(e) ? "a" : "b"));
    expect(kinds.join("")).toBe(`paaa${"b".repeat(46)}`);
  });

  test("happen evenly, ten in a millisecond", () => {
    expect(events.map(({ dateTime }) => dateTime - baseTime)).toEqual(
      events.map((_, n) => Math.floor(n / 10)),
    );
  });

  test("have consecutive ids from 1,000 on", () => {
    expect(persons.map(({ id }) => id)).toEqual(persons.map((_, n) => 1_000 + n));
    expect(auctions.map(({ id }) => id)).toEqual(auctions.map((_, n) => 1_000 + n));
  });

  test("refer to people and auctions of about then", () => {
    for (const [n, event] of events.entries()) {
      const person = 1_000 + Math.floor(n / 50);
      if (isBid(event)) {
        const last = 1_000 + Math.floor(n / 50) * 3 + 2;
        expect(event.auction).toBeGreaterThanOrEqual(Math.max(last - 199, 1_000));
        expect(event.auction).toBeLessThanOrEqual(last + 10);
        expect(event.bidder).toBeGreaterThanOrEqual(1_000);
        expect(event.bidder).toBeLessThanOrEqual(person + 10);
      } else if (isAuction(event)) {
        expect(event.seller).toBeLessThanOrEqual(person + 10);
        expect(event.expires).toBeGreaterThan(event.dateTime);
        expect(event.expires - event.dateTime).toBeLessThanOrEqual(2 * 167);
        expect(event.reserve).toBeGreaterThan(event.initialBid);
      }
    }
  });

  test("are for hot auctions, by hot bidders and of hot sellers, as often as they should be", () => {
    const late = bids.filter(({ dateTime }) => dateTime > baseTime + 1_000);
    const hot = late.filter(({ auction }) => (auction - 1_000) % 100 === 0);
    expect(share(late, hot)).toBeCloseTo(0.5, 1);
    const byHot = late.filter(({ bidder }) => (bidder - 1_000) % 100 === 1);
    expect(share(late, byHot)).toBeCloseTo(0.75, 1);
    const ofHot = auctions.filter(({ seller }) => (seller - 1_000) % 100 === 0);
    expect(share(auctions, ofHot)).toBeCloseTo(0.75, 1);
  });

  test("have prices that are even by their logarithm, from 1 to a million", () => {
    const logarithms = bids.map(({ price }) => Math.log10(price / 100));
    expect(mean(logarithms)).toBeCloseTo(3, 1);
    expect(Math.min(...logarithms)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...logarithms)).toBeLessThanOrEqual(6);
    const ofThousands = logarithms.filter((log) => log >= 3 && log < 4);
    expect(share(logarithms, ofThousands)).toBeCloseTo(1 / 6, 1);
  });

  test("have channels, addresses and sizes as usual", () => {
    const hot = bids.filter(({ channel }) => !channel.startsWith("channel-"));
    expect(share(bids, hot)).toBeCloseTo(0.5, 1);
    const others = bids.filter(({ channel }) => channel.startsWith("channel-"));
    const withId = others.filter(({ url }) => /&channel_id=\d+$/.test(url));
    expect(share(others, withId)).toBeCloseTo(0.9, 1);
    for (const { url } of bids) {
      expect(url).toMatch(
        /^https:\/\/www\.nexmark\.com\/[a-z_]{3,4}\/[a-z_]{3,4}\/[a-z_]{3,4}\/item/,
      );
    }
    expect(mean(bids.map(({ extra }) => extra.length))).toBeCloseTo(68, -1);
  });
});

test("an event is the same again", () => {
  for (const n of [0, 1, 49, 12_345, 2 ** 33 + 7])
    expect(eventAt(n, rate)).toEqual(eventAt(n, rate));
  expect(eventAt(2 ** 33 + 7, rate)).not.toMatchObject({
    extra: (eventAt(7, rate) as { extra: string }).extra,
  });
});

test("bids as columns are the bids, wherever a run begins", () => {
  const lists = bidColumns(bidFields) as Record<string, unknown>;
  for (const [first, count] of [
    [0, 60],
    [17, 100],
    [45_900, 100],
  ] as const) {
    const columns = Object.fromEntries(
      bidFields.map((field) => [field, new Float64Array(count)]),
    ) as never as Record<string, Float64Array>;
    fillBids(columns as never, first, rate);
    for (let i = 0; i < count; i++) {
      const { extra: _, ...bid } = bidAt(eventOfBid(first + i), rate);
      const row = Object.fromEntries(
        bidFields.map((field) => {
          const value = columns[field]![i]!;
          const texts = lists[field];
          return [field, Array.isArray(texts) ? (texts as string[])[value] : value];
        }),
      );
      expect(row).toEqual(bid);
    }
  }
});

test("bids are counted as they come", () => {
  for (const n of [0, 1, 4, 5, 50, 54, 55, 1_000]) {
    expect(bidsIn(n)).toBe(events.slice(0, n).filter(isBid).length);
  }
  expect(events.indexOf(bids[46]!)).toBe(eventOfBid(46));
});
