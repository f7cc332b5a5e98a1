// Parts of times, in UTC.

const dayMillis = 86_400_000;
const minuteMillis = 60_000;

const days = new Map<number, string>();

/** `yyyy-MM-dd`. */
export function dayOf(time: number): string {
  const day = Math.floor(time / dayMillis);
  let text = days.get(day);
  if (text === undefined) {
    text = new Date(day * dayMillis).toISOString().slice(0, 10);
    days.set(day, text);
  }
  return text;
}

/** `HH:mm`. */
export function minuteOf(time: number): string {
  const minute = Math.floor((time % dayMillis) / minuteMillis);
  const twoDigits = (of: number): string => String(of).padStart(2, "0");
  return `${twoDigits(Math.floor(minute / 60))}:${twoDigits(minute % 60)}`;
}
