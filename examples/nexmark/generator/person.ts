// Persons.

import type { Person } from "../model.ts";
import { extraOf } from "./extra.ts";
import { below, seedOf, textOf } from "./random.ts";
import { firstId, lastPerson, timeOf } from "./stream.ts";

const firstNames = "Peter Paul Luke John Saul Vicky Kate Julie Sarah Deiter Walter".split(" ");
const lastNames = "Shultz Abrams Spencer White Bartels Walton Smith Jones Noris".split(" ");
const cities =
  "Phoenix,Los Angeles,San Francisco,Boise,Portland,Bend,Redmond,Seattle,Kent,Cheyenne".split(",");
const states = "AZ CA ID OR WA WY".split(" ");

/** Where each field is drawn; texts take as many places as they are long, and one more. */
const at = {
  firstName: 0,
  lastName: 1,
  city: 2,
  state: 3,
  card: 4,
  extra: 8,
  email: 16,
  domain: 32,
} as const;

const usualBytes = 200;

const oneOf = (texts: readonly string[], seed: number, place: number): string =>
  texts[below(seed, place, texts.length)]!;

const fourDigits = (seed: number, place: number): string =>
  String(below(seed, place, 10_000)).padStart(4, "0");

export function personAt(event: number, rate: number): Person {
  const seed = seedOf(event);
  const name = `${oneOf(firstNames, seed, at.firstName)} ${oneOf(lastNames, seed, at.lastName)}`;
  const emailAddress = `${textOf(seed, at.email, 7)}@${textOf(seed, at.domain, 5)}.com`;
  const card = [0, 1, 2, 3].map((group) => fourDigits(seed, at.card + group));
  const creditCard = card.join(" ");
  const city = oneOf(cities, seed, at.city);
  const state = oneOf(states, seed, at.state);
  const texts = name.length + emailAddress.length + creditCard.length + city.length + state.length;
  return {
    id: firstId + lastPerson(event),
    name,
    emailAddress,
    creditCard,
    city,
    state,
    dateTime: timeOf(event, rate),
    extra: extraOf(seed, at.extra, { size: 8 + texts + 8, usual: usualBytes }),
  };
}
