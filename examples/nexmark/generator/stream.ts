// The stream of events: what the n-th is, when it happens, and whom there is to refer to by then.
//   S1. Of 50 events in a row the first is a person, the next three are auctions, the others bids.

export type Kind = "person" | "auction" | "bid";

const persons = 1;
const auctions = 3;
const bids = 46;
const epoch = persons + auctions + bids;

export const firstId = 1_000;

/** When the first event happens: 15 July 2015, as in Beam. */
export const baseTime = Date.UTC(2015, 6, 15);

/** Auctions that bids are for; people who bid and sell. */
const auctionsInFlight = 100;
const activePeople = 1_000;
/** Auctions and people that may be referred to before they are there. */
const lead = 10;

export function kindOf(event: number): Kind {
  const within = event % epoch;
  if (within < persons) return "person";
  return within < persons + auctions ? "auction" : "bid";
}

/** When an event happens, in milliseconds. */
export const timeOf = (event: number, rate: number): number =>
  baseTime + Math.floor((event * 1_000) / rate);

/** The number of bids among so many events. */
export const bidsIn = (events: number): number =>
  Math.floor(events / epoch) * bids + Math.max(0, (events % epoch) - persons - auctions);

/** The event that is the bid with that number, from 0 on. */
export const eventOfBid = (bid: number): number =>
  Math.floor(bid / bids) * epoch + persons + auctions + (bid % bids);

/** The last person there is when an event happens, itself included, from 0 on. */
export const lastPerson = (event: number): number => Math.floor(event / epoch);

/** The last auction, itself included, from 0 on; -1 before the first. */
export function lastAuction(event: number): number {
  const within = event % epoch;
  const before = Math.floor(event / epoch) * auctions;
  if (within < persons) return before - 1;
  return before + Math.min(within - persons, auctions - 1);
}

/** Which people an event may refer to: so many, from the first on. */
export function peopleAt(event: number): { readonly first: number; readonly count: number } {
  const people = lastPerson(event) + 1;
  const active = Math.min(people, activePeople);
  return { first: people - active, count: active + lead };
}

/** Which auctions it may refer to. */
export function auctionsAt(event: number): { readonly first: number; readonly count: number } {
  const last = lastAuction(event);
  const first = Math.max(last - auctionsInFlight, 0);
  return { first, count: last - first + 1 + lead };
}

/** Milliseconds until as many auctions will have begun as are in flight: the mean length of one. */
export function horizonAt(event: number, rate: number): number {
  const ahead = Math.floor((auctionsInFlight * epoch) / auctions);
  return timeOf(event + ahead, rate) - timeOf(event, rate);
}

/** The longest that an auction of that rate lasts, in milliseconds. */
export const longestAuction = (rate: number): number =>
  2 * Math.ceil((Math.floor((auctionsInFlight * epoch) / auctions) * 1_000) / rate) + 1;

/** One person, auction or bidder in so many is a hot one. */
const hotOneIn = 100;

/** The last that many refer to at a time. */
export const hotOf = (last: number): number => Math.floor(last / hotOneIn) * hotOneIn;
