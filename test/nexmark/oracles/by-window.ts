// Queries by windows of event time.

import { groupedBy, type Oracle } from "./house.ts";

const seconds = 1_000;

/** The windows of ten seconds, every two, that a time is in, by their ends. */
function endsOf(time: number): number[] {
  const ends: number[] = [];
  for (let end = Math.floor(time / (2 * seconds)) * 2 * seconds + 2 * seconds; ;) {
    ends.push(end);
    end += 2 * seconds;
    if (end - 10 * seconds > time) return ends;
  }
}

const tenSecondsOf = (time: number): number => time - (time % (10 * seconds));

export const q5: Oracle = ({ bids }) => {
  const windows = new Map<number, Map<number, number>>();
  for (const { auction, dateTime } of bids) {
    for (const end of endsOf(dateTime)) {
      const counts = windows.get(end) ?? new Map<number, number>();
      windows.set(end, counts.set(auction, (counts.get(auction) ?? 0) + 1));
    }
  }
  return [...windows].flatMap(([windowEnd, counts]) => {
    const most = Math.max(...counts.values());
    return Array.from(counts, ([auction, num]) => ({ auction, num, windowEnd })).filter(
      ({ num }) => num === most,
    );
  });
};

export const q7: Oracle = ({ bids }) =>
  [...groupedBy(bids, ({ dateTime }) => tenSecondsOf(dateTime)).values()].flatMap((own) => {
    const highest = own.reduce((most, { price }) => Math.max(most, price), 0);
    return own
      .filter(({ price }) => price === highest)
      .map(({ auction, price, bidder, dateTime, extra }) => {
        return { auction, price, bidder, dateTime, extra };
      });
  });

export const q8: Oracle = ({ persons, auctions }) => {
  const sellers = groupedBy(auctions, ({ dateTime }) => tenSecondsOf(dateTime));
  return persons.flatMap(({ id, name, dateTime }) => {
    const starttime = tenSecondsOf(dateTime);
    const hasSold = sellers.get(starttime)?.some(({ seller }) => seller === id) ?? false;
    return hasSold ? [{ id, name, starttime }] : [];
  });
};

export const q11: Oracle = ({ bids }) =>
  Array.from(
    groupedBy(bids, ({ bidder }) => bidder),
    ([bidder, own]) => {
      const sessions: { starttime: number; endtime: number; bid_count: number }[] = [];
      for (const { dateTime } of own) {
        const last = sessions.at(-1);
        const endtime = dateTime + 10 * seconds;
        // A session that ends when another begins is one with it.
        if (last !== undefined && dateTime <= last.endtime) {
          last.endtime = endtime;
          last.bid_count++;
        } else sessions.push({ starttime: dateTime, endtime, bid_count: 1 });
      }
      return sessions.map((session) => ({ bidder, ...session }));
    },
  ).flat();

/** In all: windows by the clock are others in each run. */
export const q12: Oracle = ({ bids }) =>
  Array.from(
    groupedBy(bids, ({ bidder }) => bidder),
    ([bidder, { length: bid_count }]) => ({ bidder, bid_count }),
  );
