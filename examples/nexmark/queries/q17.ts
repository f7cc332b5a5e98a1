// Statistics of auctions, day by day.
//   SELECT auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day, count(*) AS total_bids,
//     count(*) FILTER (WHERE price < 10000) AS rank1_bids,
//     count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
//     count(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
//     min(price) AS min_price, max(price) AS max_price, avg(price) AS avg_price, sum(price) AS sum_price
//   FROM bid GROUP BY auction, day

import { avg, count, countIf, defineJob, max, min, sum } from "tidemark";

import { upsert } from "../results.ts";
import { bids } from "../sources.ts";
import { dayOf } from "./dates.ts";
import { options } from "./options.ts";
import { rankOf } from "./ranks.ts";

export const q17 = defineJob(
  "q17",
  (env) => {
    const statistics = bids(env, "auction", "price", "dateTime")
      .keyBy(({ auction, dateTime }) => [auction, dayOf(dateTime)])
      .aggregate(
        {
          total_bids: count(),
          rank1_bids: countIf(({ price }) => rankOf(price) === 1),
          rank2_bids: countIf(({ price }) => rankOf(price) === 2),
          rank3_bids: countIf(({ price }) => rankOf(price) === 3),
          min_price: min("price"),
          max_price: max("price"),
          avg_price: avg("price"),
          sum_price: sum("price"),
        },
        { uid: "statistics" },
      )
      .map(({ key: [auction, day], ...of }) => ({ auction, day, ...of }), { uid: "rows" });
    upsert(env, statistics, ({ auction, day }) => [auction, day]);
  },
  options,
);
