// The rows of Nexmark: an auction house. Prices are whole cents, times milliseconds since the epoch.

export interface Person {
  readonly id: number;
  readonly name: string;
  readonly emailAddress: string;
  readonly creditCard: string;
  readonly city: string;
  readonly state: string;
  readonly dateTime: number;
  readonly extra: string;
}

export interface Auction {
  readonly id: number;
  readonly itemName: string;
  readonly description: string;
  readonly initialBid: number;
  readonly reserve: number;
  readonly dateTime: number;
  readonly expires: number;
  /** A person's id. */
  readonly seller: number;
  readonly category: number;
  readonly extra: string;
}

export interface Bid {
  /** An auction's id; it may be of one that is yet to come. */
  readonly auction: number;
  /** A person's id; it may be of one that is yet to come. */
  readonly bidder: number;
  readonly price: number;
  readonly channel: string;
  readonly url: string;
  readonly dateTime: number;
  readonly extra: string;
}

export type Event = Person | Auction | Bid;

export const isBid = (event: Event): event is Bid => "bidder" in event;
export const isAuction = (event: Event): event is Auction => "seller" in event;
export const isPerson = (event: Event): event is Person => "emailAddress" in event;
