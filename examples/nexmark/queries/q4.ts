// Average prices by category: what auctions have brought, or would if they ended now.
//   SELECT category, avg(final) FROM (
//     SELECT max(B.price) AS final, A.category FROM auction A, bid B
//     WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires
//     GROUP BY A.id, A.category) GROUP BY category

import { defineJob, rows, sum, valueState } from "tidemark";

import { upsert } from "../results.ts";
import { options } from "./options.ts";
import { validBids } from "./winning.ts";

export const q4 = defineJob(
  "q4",
  (env) => {
    // A higher price replaces the one before it: what changes is the sum of its category.
    const changes = validBids(env, ({ id, category }, { price }) => ({
      id,
      category,
      price,
    }))
      .keyBy("id")
      .process(
        {
          state: { final: valueState<number>() },
          emits: rows<{ category: number; price: number; auctions: number }>(),
          process({ category, price }, { state, emit }) {
            const final = state.final.get();
            if (final !== undefined && price <= final) return;
            state.final.set(price);
            emit({ category, price: price - (final ?? 0), auctions: final === undefined ? 1 : 0 });
          },
        },
        { uid: "final-prices" },
      );
    const averages = changes
      .keyBy("category")
      .aggregate({ total: sum("price"), auctions: sum("auctions") }, { uid: "categories" })
      .map(({ key: category, total, auctions: n }) => ({ category, avg: total / n }), {
        uid: "averages",
      });
    upsert(env, averages, ({ category }) => category);
  },
  options,
);
