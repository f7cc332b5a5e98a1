// What the queries read: FROM bid, FROM auction, FROM person.

import {
  boundedOutOfOrderness,
  type DataStream,
  generate,
  generateColumns,
  type JobEnvironment,
  topic,
} from "tidemark";

import { bidAt, bidColumns, type BidField, fillBids } from "./generator/bid.ts";
import { eventAt } from "./generator/events.ts";
import { bidsIn, eventOfBid } from "./generator/stream.ts";
import { type Auction, type Bid, isAuction, isBid, isPerson, type Person } from "./model.ts";

/** As in the queries for Flink: `WATERMARK FOR dateTime AS dateTime - INTERVAL '4' SECOND`. */
const disorder = "4s";

/** How many events there are, and how many of them a second by their times. */
export const sizeOf = ({ parameters }: JobEnvironment): { events: number; rate: number } => ({
  events: parameters.getInt("events", 1_000_000),
  rate: parameters.getInt("rate", 10_000),
});

/** All bids, with these fields, or with all. Where fields are named, no others are made. */
export function bids(env: JobEnvironment): DataStream<Bid>;
export function bids<F extends BidField>(
  env: JobEnvironment,
  ...fields: readonly [F, ...F[]]
): DataStream<Pick<Bid, F>>;
export function bids(env: JobEnvironment, ...fields: readonly BidField[]): DataStream<unknown> {
  const { events, rate } = sizeOf(env);
  const options = { rows: bidsIn(events) };
  if (fields.length === 0) {
    const source = generate((bid) => bidAt(eventOfBid(bid), rate), options);
    return env.from(source, { uid: "bids", watermarks });
  }
  const columns = bidColumns(fields);
  const source = generateColumns(columns, (of, first) => fillBids(of, first, rate), options);
  return env.from(source, {
    uid: "bids",
    ...(fields.includes("dateTime") && { watermarks: watermarks as never }),
  });
}

/** The same rows in a job that does not end with them: one that ends does not wait for the clock. */
export const endless = <T>(env: JobEnvironment, rows: DataStream<T>): DataStream<T> =>
  rows.union(env.from(none, { uid: "none" }) as DataStream<T>);

/** Has no rows. */
export const none = topic<never>("nexmark-none", { partitions: 1 });

const watermarks = boundedOutOfOrderness(disorder, { timestamp: "dateTime" });

/** All events, by kind. */
export function events(env: JobEnvironment): {
  readonly persons: DataStream<Person>;
  readonly auctions: DataStream<Auction>;
  readonly bids: DataStream<Bid>;
} {
  const { events: rows, rate } = sizeOf(env);
  const source = generate((event) => eventAt(event, rate), { rows });
  const all = env.from(source, { uid: "events", watermarks });
  return {
    get persons() {
      return all.filter(isPerson, { uid: "persons" });
    },
    get auctions() {
      return all.filter(isAuction, { uid: "auctions" });
    },
    get bids() {
      return all.filter(isBid, { uid: "bids" });
    },
  };
}
