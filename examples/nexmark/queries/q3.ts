// Local items: auctions of a category by sellers of three states.
//   SELECT P.name, P.city, P.state, A.id FROM auction A JOIN person P ON A.seller = P.id
//   WHERE A.category = 10 AND P.state IN ('OR', 'ID', 'CA')

import { defineJob, listState, rows, valueState } from "tidemark";

import type { Person } from "../model.ts";
import { insert } from "../results.ts";
import { events } from "../sources.ts";
import { options } from "./options.ts";

const states = ["OR", "ID", "CA"];

type Seller = Pick<Person, "name" | "city" | "state">;

export const q3 = defineJob(
  "q3",
  (env) => {
    const { persons, auctions } = events(env);
    const local = auctions
      .filter(({ category }) => category === 10, { uid: "category" })
      .keyBy("seller")
      .connect(persons.filter(({ state }) => states.includes(state), { uid: "local" }).keyBy("id"))
      .process(
        {
          state: { seller: valueState<Seller>(), waiting: listState<number>() },
          emits: rows<Seller & { readonly id: number }>(),
          processLeft({ id }, { state, emit }) {
            const seller = state.seller.get();
            if (seller === undefined) state.waiting.add(id);
            else emit({ ...seller, id });
          },
          processRight({ name, city, state: of }, { state, emit }) {
            const seller = { name, city, state: of };
            state.seller.set(seller);
            for (const id of state.waiting.get()) emit({ ...seller, id });
            state.waiting.clear();
          },
        },
        { uid: "sold-by" },
      );
    insert(env, local);
  },
  options,
);
