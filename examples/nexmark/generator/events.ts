// The n-th event, whatever it is.

import type { Event } from "../model.ts";
import { auctionAt } from "./auction.ts";
import { bidAt } from "./bid.ts";
import { personAt } from "./person.ts";
import { kindOf } from "./stream.ts";

/** @param rate events a second, by their times */
export function eventAt(event: number, rate: number): Event {
  switch (kindOf(event)) {
    case "person":
      return personAt(event, rate);
    case "auction":
      return auctionAt(event, rate);
    case "bid":
      return bidAt(event, rate);
  }
}
