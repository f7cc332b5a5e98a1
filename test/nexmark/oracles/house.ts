// What the oracles read: all events of a run, by kind, in their order.

import { eventAt } from "../../../examples/nexmark/generator/events.ts";
import {
  type Auction,
  type Bid,
  isAuction,
  isBid,
  isPerson,
  type Person,
} from "../../../examples/nexmark/model.ts";

export interface House {
  readonly persons: readonly Person[];
  readonly auctions: readonly Auction[];
  readonly bids: readonly Bid[];
}

/** What a query should come to: the rows that are left at its end. */
export type Oracle = (house: House) => readonly object[];

export function houseOf(events: number, rate: number): House {
  const persons: Person[] = [];
  const auctions: Auction[] = [];
  const bids: Bid[] = [];
  for (let n = 0; n < events; n++) {
    const event = eventAt(n, rate);
    if (isBid(event)) bids.push(event);
    else if (isAuction(event)) auctions.push(event);
    else if (isPerson(event)) persons.push(event);
  }
  return { persons, auctions, bids };
}

/** Adds to what is held under a key. */
export function groupedBy<T>(
  rows: readonly T[],
  key: (row: T) => string | number,
): Map<string | number, T[]> {
  const groups = new Map<string | number, T[]>();
  for (const row of rows) {
    const held = groups.get(key(row));
    if (held === undefined) groups.set(key(row), [row]);
    else held.push(row);
  }
  return groups;
}

export const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10);
