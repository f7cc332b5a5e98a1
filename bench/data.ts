// The rows that everything is measured with: what user did how much when. Made from a number alone, so
// that every contestant makes the same rows for itself, in whatever process it runs.
//   D1. Row i is the same whoever asks, in whatever order.
//   D2. Users follow Zipf's law: the k-th most frequent has about 1/k of the first one's rows.

/** One row. */
export interface Purchase {
  readonly user: string;
  readonly amount: number;
  readonly ts: number;
}

/** Rows of a user, and the sum of their amounts. */
export interface Tally {
  n: number;
  total: number;
}

export type Tallies = ReadonlyMap<string, Readonly<Tally>>;

export const users = 10_000;

/** Rows of one batch: as many as a frame of the engine has. */
export const batchRows = 5_000;

const slotBits = 18;
const firstAt = Date.UTC(2026, 0, 1);

// One user per slot, as many slots as its share: drawing a user is one look-up.
export const userNames: readonly string[] = Array.from(
  { length: users },
  (_, rank) => `user-${rank}`,
);
const slots = zipfSlots();

function zipfSlots(): Uint16Array {
  const count = 2 ** slotBits;
  const slots = new Uint16Array(count);
  const all = userNames.reduce((sum, _, rank) => sum + 1 / (rank + 1), 0);
  let rank = 0;
  let upTo = 1 / all;
  for (let slot = 0; slot < count; slot++) {
    while ((slot + 0.5) / count > upTo && rank < users - 1) upTo += 1 / (++rank + 1) / all;
    slots[slot] = rank;
  }
  return slots;
}

/** 32 bits that look drawn at random, the same for the same number (murmur3's finaliser). */
export function scrambled(i: number): number {
  let h = Math.imul(i ^ (i >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export function purchaseAt(i: number): Purchase {
  const drawn = scrambled(i + 1);
  const user = userNames[userOf(drawn)]!;
  return { user, amount: amountOf(drawn), ts: firstAt + i };
}

const userOf = (drawn: number): number => slots[drawn >>> (32 - slotBits)]!;
const amountOf = (drawn: number): number => 1 + ((drawn & 0xfff) % 100);

/** The same rows as columns, users as positions in `userNames`: row `first` and those after it. */
export function fillPurchases({ user, amount, ts }: PurchaseColumns, first: number): void {
  for (let at = 0; at < user.length; at++) {
    const drawn = scrambled(first + at + 1);
    user[at] = userOf(drawn);
    amount[at] = amountOf(drawn);
    ts[at] = firstAt + first + at;
  }
}

export interface PurchaseColumns {
  readonly user: Uint16Array;
  readonly amount: Int32Array;
  readonly ts: Float64Array;
}

/** Users that readings are of, all of them alike, so that each is in every window. */
const readers = 1_000;

/** Other rows: users in no order, a millisecond after one another. */
export function fillReadings({ user, amount, ts }: PurchaseColumns, first: number): void {
  for (let at = 0; at < user.length; at++) {
    const drawn = scrambled(first + at + 1);
    user[at] = drawn % readers;
    amount[at] = amountOf(drawn);
    ts[at] = firstAt + first + at;
  }
}

/** What is to come of the first `rows` readings. */
export function talliesOfReadings(rows: number): Map<string, Tally> {
  const tallies = new Map<string, Tally>();
  for (let i = 0; i < rows; i++) {
    const drawn = scrambled(i + 1);
    tally(tallies, { user: userNames[drawn % readers]!, amount: amountOf(drawn), ts: firstAt + i });
  }
  return tallies;
}

/** Rows `from` up to but not including `to`. */
export function purchases(from: number, to: number): Purchase[] {
  const rows = new Array<Purchase>(to - from);
  for (let i = from; i < to; i++) rows[i - from] = purchaseAt(i);
  return rows;
}

/** Rows 0 to `rows` in batches, made one after the other. */
export function* batches(rows: number): Generator<Purchase[]> {
  for (let from = 0; from < rows; from += batchRows) {
    yield purchases(from, Math.min(rows, from + batchRows));
  }
}

/** Adds a row to the tally of its user. */
export function tally(into: Map<string, Tally>, { user, amount }: Purchase): void {
  const held = into.get(user);
  if (held === undefined) into.set(user, { n: 1, total: amount });
  else {
    held.n++;
    held.total += amount;
  }
}

/** What is to come of the first `rows` rows: the answer that every contestant is held to. */
export function talliesOf(rows: number): Map<string, Tally> {
  const tallies = new Map<string, Tally>();
  for (let i = 0; i < rows; i++) tally(tallies, purchaseAt(i));
  return tallies;
}

/** Where two answers differ; a few places, and none where they are equal. */
export function differences(expected: Tallies, actual: Tallies): string[] {
  const wrong: string[] = [];
  const say = (user: string): void => {
    const text = (tally: Tally | undefined): string =>
      tally === undefined ? "nothing" : `${tally.n} rows and ${tally.total}`;
    wrong.push(`${user} has ${text(actual.get(user))}, should have ${text(expected.get(user))}`);
  };
  for (const user of new Set([...expected.keys(), ...actual.keys()])) {
    const [a, b] = [expected.get(user), actual.get(user)];
    if (a?.n !== b?.n || a?.total !== b?.total) say(user);
    if (wrong.length === 5) break;
  }
  return wrong;
}

/**
 * A state of many keys: the first `keys` rows are one of each, those after them of the first `hot`, of
 * which all are as likely, or likely by Zipf's law.
 */
export interface StateShape {
  readonly keys: number;
  readonly hot: number;
  readonly isZipf?: boolean;
}

/** Keys of such a state whose tallies can be asked for. */
export const sampledKeys = 10;

export function stateKeyAt(i: number, { keys, hot, isZipf = false }: StateShape): number {
  if (i < keys) return i;
  const drawn = scrambled(i);
  return isZipf ? keyOfRank(zipfRank(drawn, hot), hot) : drawn % hot;
}

/** The k-th most likely of `count` has about 1/k of the first one's rows: D2, without a table. */
const zipfRank = (drawn: number, count: number): number =>
  Math.min(count - 1, Math.floor((count + 1) ** ((drawn + 0.5) / 2 ** 32)) - 1);

/**
 * The key of that rank. Keys that are likely lie anywhere among the others, and none of the most likely
 * is among the sampled ones, whose rows are all emitted.
 */
const keyOfRank = (rank: number, count: number): number =>
  (rank * 7_919 + Math.floor(count / 2)) % count;

export const stateAmountAt = (i: number): number => 1 + (i % 100);

/** What is to come of `rows` rows for the sampled keys. */
export function sampledTalliesOf(rows: number, shape: StateShape): Map<string, Tally> {
  const tallies = new Map<string, Tally>();
  for (let i = 0; i < rows; i++) {
    const key = stateKeyAt(i, shape);
    if (key < sampledKeys) tally(tallies, { user: `user-${key}`, amount: stateAmountAt(i), ts: 0 });
  }
  return tallies;
}
