// Calculation: bids of a range of prices, with the time of day and a count of letters.
//   SELECT auction, bidder, 0.908 * price AS price,
//     CASE WHEN HOUR(dateTime) BETWEEN 8 AND 18 THEN 'dayTime'
//       WHEN HOUR(dateTime) <= 6 OR HOUR(dateTime) >= 20 THEN 'nightTime'
//       ELSE 'otherTime' END AS bidTimeType,
//     dateTime, extra, count_char(extra, 'c') AS c_counts
//   FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000

import { defineJob } from "tidemark";

import { insert } from "../results.ts";
import { bids } from "../sources.ts";
import { options } from "./options.ts";

const hourMillis = 3_600_000;

function timeOfDay(dateTime: number): "dayTime" | "nightTime" | "otherTime" {
  const hour = Math.floor(dateTime / hourMillis) % 24;
  if (hour >= 8 && hour <= 18) return "dayTime";
  return hour <= 6 || hour >= 20 ? "nightTime" : "otherTime";
}

function countOf(text: string, letter: string): number {
  let found = 0;
  for (let at = text.indexOf(letter); at >= 0; at = text.indexOf(letter, at + 1)) found++;
  return found;
}

export const q14 = defineJob(
  "q14",
  (env) => {
    const calculated = bids(env)
      .filter(({ price }) => 0.908 * price > 1_000_000 && 0.908 * price < 50_000_000, {
        uid: "in-range",
      })
      .map(
        ({ auction, bidder, price, dateTime, extra }) => ({
          auction,
          bidder,
          price: 0.908 * price,
          bidTimeType: timeOfDay(dateTime),
          dateTime,
          extra,
          c_counts: countOf(extra, "c"),
        }),
        { uid: "calculated" },
      );
    insert(env, calculated);
  },
  options,
);
