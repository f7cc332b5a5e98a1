// Bids: nine of ten events, so they are made field by field, and no field that nobody asks for.

import type { ColumnsOf, GeneratedFields } from "tidemark";

import type { Bid } from "../model.ts";
import { channelAt, channelTexts, urlTexts } from "./channels.ts";
import { extraOf } from "./extra.ts";
import { below, priceOf, seedOf } from "./random.ts";
import {
  auctionsAt,
  eventOfBid,
  firstId,
  hotOf,
  lastAuction,
  lastPerson,
  peopleAt,
  timeOf,
} from "./stream.ts";

/** One in so many is not for the hot auction, not by the hot bidder. */
const coldAuctionOneIn = 2;
const coldBidderOneIn = 4;

/** Where each field is drawn. */
const at = {
  forCold: 0,
  auction: 1,
  byCold: 2,
  bidder: 3,
  price: 4,
  channel: 5,
  extra: 7,
} as const;

const usualBytes = 100;

function auctionOf(event: number, seed: number): number {
  if (below(seed, at.forCold, coldAuctionOneIn) > 0) return firstId + hotOf(lastAuction(event));
  const { first, count } = auctionsAt(event);
  return firstId + first + below(seed, at.auction, count);
}

// Sellers and bidders that are hot are not the same person: it is the second of a hundred. Its id is
// moved by the first id once; in the generator for Flink it is moved twice, so that no bidder of the
// first hundreds is a person that there is.
function bidderOf(event: number, seed: number): number {
  if (below(seed, at.byCold, coldBidderOneIn) > 0) return firstId + hotOf(lastPerson(event)) + 1;
  const { first, count } = peopleAt(event);
  return firstId + first + below(seed, at.bidder, count);
}

export function bidAt(event: number, rate: number): Bid {
  const seed = seedOf(event);
  const channel = channelAt(seed, at.channel);
  return {
    auction: auctionOf(event, seed),
    bidder: bidderOf(event, seed),
    price: priceOf(seed, at.price),
    channel: channelTexts()[channel]!,
    url: urlTexts()[channel]!,
    dateTime: timeOf(event, rate),
    extra: extraOf(seed, at.extra, { size: 4 * 8, usual: usualBytes }),
  };
}

/** The fields that bids have as columns: all but the letters that fill them up. */
export type BidField = Exclude<keyof Bid, "extra">;

type FieldAt = (event: number, seed: number, rate: number) => number;

const valueOf: { readonly [Field in BidField]: FieldAt } = {
  auction: auctionOf,
  bidder: bidderOf,
  price: (_, seed) => priceOf(seed, at.price),
  channel: (_, seed) => channelAt(seed, at.channel),
  url: (_, seed) => channelAt(seed, at.channel),
  dateTime: (event, _, rate) => timeOf(event, rate),
};

export const bidFields = Object.keys(valueOf) as readonly BidField[];

const columnOf = {
  auction: () => "int32",
  bidder: () => "int32",
  price: () => "int32",
  channel: channelTexts,
  url: urlTexts,
  dateTime: () => "float64",
} as const satisfies { readonly [Field in BidField]: () => GeneratedFields[string] };

/** What columns these fields are. */
export const bidColumns = (fields: readonly BidField[]): GeneratedFields =>
  Object.fromEntries(fields.map((field) => [field, columnOf[field]()]));

/** Writes the fields of bids, the first of which has that number among them. */
export function fillBids(columns: ColumnsOf<GeneratedFields>, first: number, rate: number): void {
  for (const field in columns) {
    const values = columns[field]!;
    const value = valueOf[field as BidField];
    for (let i = 0; i < values.length; i++) {
      const event = eventOfBid(first + i);
      values[i] = value(event, seedOf(event), rate);
    }
  }
}
