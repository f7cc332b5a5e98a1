// Queries that look at each bid by itself.

import type { Oracle } from "./house.ts";

export const q0: Oracle = ({ bids }) => bids;

export const q1: Oracle = ({ bids }) =>
  bids.map((bid) => ({
    auction: bid.auction,
    bidder: bid.bidder,
    price: bid.price * 0.908,
    dateTime: bid.dateTime,
    extra: bid.extra,
  }));

export const q2: Oracle = ({ bids }) => {
  const found: object[] = [];
  for (const { auction, price } of bids) if (auction % 123 === 0) found.push({ auction, price });
  return found;
};

export const q10: Oracle = ({ bids }) =>
  bids.map(({ auction, bidder, price, dateTime, extra }) => {
    const [dt, time] = new Date(dateTime).toISOString().split("T");
    return { auction, bidder, price, dateTime, extra, dt, hm: time!.slice(0, 5) };
  });

export const q14: Oracle = ({ bids }) => {
  const found: object[] = [];
  for (const { auction, bidder, price: cents, dateTime, extra } of bids) {
    const price = cents * 0.908;
    if (price <= 1_000_000 || price >= 50_000_000) continue;
    const hour = new Date(dateTime).getUTCHours();
    let bidTimeType = "otherTime";
    if (hour > 7 && hour < 19) bidTimeType = "dayTime";
    else if (hour < 7 || hour > 19) bidTimeType = "nightTime";
    const c_counts = extra.split("c").length - 1;
    found.push({ auction, bidder, price, bidTimeType, dateTime, extra, c_counts });
  }
  return found;
};

export const q21: Oracle = ({ bids }) => {
  const found: object[] = [];
  for (const { auction, bidder, price, channel, url } of bids) {
    const hot = ["Apple", "Google", "Facebook", "Baidu"].indexOf(channel);
    const given = url.split("&").find((part) => part.startsWith("channel_id="));
    const channel_id = hot >= 0 ? String(hot) : given?.slice("channel_id=".length);
    if (channel_id !== undefined) found.push({ auction, bidder, price, channel, channel_id });
  }
  return found;
};

export const q22: Oracle = ({ bids }) =>
  bids.map(({ auction, bidder, price, channel, url }) => {
    const [dir1, dir2, dir3] = new URL(url).pathname.slice(1).split("/");
    return { auction, bidder, price, channel, dir1, dir2, dir3 };
  });
