// Bids that are made while their auction is on, with that auction: what q4 and q9 have in common.
//   FROM auction A, bid B WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires

import type { DataStream, JobEnvironment } from "tidemark";

import { longestAuction } from "../generator/stream.ts";
import type { Auction, Bid } from "../model.ts";
import { events, sizeOf } from "../sources.ts";

/**
 * An interval join has the same bounds for all rows, and each auction its own: they are met within the
 * longest that one lasts, and those that were made in time are kept.
 *
 * @param both what is made of an auction and a bid
 */
export function validBids<R>(
  env: JobEnvironment,
  both: (auction: Auction, bid: Bid) => R,
): DataStream<R> {
  const { auctions, bids } = events(env);
  const longest = longestAuction(sizeOf(env).rate);
  return auctions
    .keyBy("id")
    .intervalJoin(
      bids.keyBy("auction"),
      { between: [0, longest] },
      (auction, bid) => ({ auction, bid }),
      { uid: "bids-of-auctions" },
    )
    .filter(({ auction, bid }) => bid.dateTime <= auction.expires, { uid: "valid-bids" })
    .map(({ auction, bid }) => both(auction, bid), { uid: "both" });
}
