// Auctions.

import type { Auction } from "../model.ts";
import { extraOf } from "./extra.ts";
import { below, priceOf, seedOf, textOf } from "./random.ts";
import { firstId, horizonAt, hotOf, lastAuction, lastPerson, peopleAt, timeOf } from "./stream.ts";

const firstCategory = 10;
const categories = 5;
/** One seller in so many is not the hot one. */
const coldSellerOneIn = 4;

/** Where each field is drawn; texts take as many places as they are long, and one more. */
const at = {
  isCold: 0,
  seller: 1,
  category: 2,
  initialBid: 3,
  reserve: 4,
  length: 5,
  extra: 6,
  itemName: 16,
  description: 48,
} as const;

const usualBytes = 500;

export function auctionAt(event: number, rate: number): Auction {
  const seed = seedOf(event);
  const people = peopleAt(event);
  const isHot = below(seed, at.isCold, coldSellerOneIn) > 0;
  const seller = isHot
    ? hotOf(lastPerson(event))
    : people.first + below(seed, at.seller, people.count);
  const initialBid = priceOf(seed, at.initialBid);
  const itemName = textOf(seed, at.itemName, 20);
  const description = textOf(seed, at.description, 100);
  const dateTime = timeOf(event, rate);
  const length = 1 + below(seed, at.length, Math.max(2 * horizonAt(event, rate), 1));
  const size = 8 + itemName.length + description.length + 5 * 8;
  return {
    id: firstId + lastAuction(event),
    itemName,
    description,
    initialBid,
    reserve: initialBid + priceOf(seed, at.reserve),
    dateTime,
    expires: dateTime + length,
    seller: firstId + seller,
    category: firstCategory + below(seed, at.category, categories),
    extra: extraOf(seed, at.extra, { size, usual: usualBytes }),
  };
}
