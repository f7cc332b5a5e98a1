// New users: who has opened an auction within the ten seconds in which they came.
//   SELECT P.id, P.name, P.window_start AS starttime
//   FROM TUMBLE(person, dateTime, INTERVAL '10' SECOND) P
//   JOIN TUMBLE(auction, dateTime, INTERVAL '10' SECOND) A
//   ON P.id = A.seller AND P.window_start = A.window_start GROUP BY P.id, P.name, P.window_start

import { defineJob, rows, tumbling } from "tidemark";

import { insert } from "../results.ts";
import { events } from "../sources.ts";
import { options } from "./options.ts";

export const q8 = defineJob(
  "q8",
  (env) => {
    const { persons, auctions } = events(env);
    const came = persons.map(({ id, name }) => ({ id, name }), { uid: "came" });
    const opened = auctions.map(({ seller }) => ({ seller }), { uid: "opened" });
    const newSellers = came.keyBy("id").coGroup(
      opened.keyBy("seller"),
      { window: tumbling("10s") },
      {
        emits: rows<{ id: number; name: string; starttime: number }>(),
        // A person comes once, so these are grouped already.
        process({ window, emit }, those, auctionsOfThem) {
          if (auctionsOfThem.length === 0) return;
          for (const { id, name } of those) emit({ id, name, starttime: window.start });
        },
      },
      { uid: "new-sellers" },
    );
    insert(env, newSellers);
  },
  options,
);
