// What the job must come to: the same windows in SQL, for DuckDB. Shares no code with the engine, nor
// with the job. Moments are milliseconds since 1970, as they are in the job's tables.

/** The first flights of the file; the id of a flight is its place there. */
export const flights = (path: string, rows: number): string => `
  select file_row_number as id, date, delay::integer as delay, origin, destination
  from read_parquet('${path.replaceAll("'", "''")}', file_row_number = true)
  where file_row_number < ${rows}`;

/**
 * The flights in the order of their reports, each with how far event time has come before it: all that
 * is earlier than `reached` is over.
 */
export const reports = `
  select
    *,
    coalesce(
      time_bucket(interval 1 hour, max(date) over before) - interval 12 hour,
      timestamp '-infinity'
    ) as reached
  from flights
  window before as (
    order by date + to_minutes(delay), id
    rows between unbounded preceding and 1 preceding
  )`;

/** A flight is late when its hour is over. */
export const hours = `
  select
    origin as airport,
    epoch_ms(time_bucket(interval 1 hour, date)) as "windowStart",
    count(*) as flights,
    count(*) filter (delay >= 15) as delayed,
    sum(delay)::double / count(*) as "meanDelay",
    max(delay) as worst
  from reports
  where time_bucket(interval 1 hour, date) + interval 1 hour > reached
  group by all`;

export const late = `
  select id, epoch_ms(date) as date, delay, origin, destination
  from reports
  where time_bucket(interval 1 hour, date) + interval 1 hour <= reached`;

/** A flight counts in those of its six windows that are not over when it is reported. */
export const worst = `
  with
    places as (
      select *, time_bucket(interval 1 hour, date) - to_hours(back) as start
      from reports, range(6) as hours(back)
    ),
    windows as (
      select start, origin, count(*) as flights, sum(delay)::double / count(*) as mean
      from places
      where start + interval 6 hour > reached
      group by all
      having count(*) >= 20
    )
  select
    epoch_ms(start) as "windowStart",
    row_number() over (partition by start order by mean desc, origin) as rank,
    origin as airport,
    flights,
    mean as "meanDelay"
  from windows
  qualify rank <= 10`;

/** Of the flights that were not late. */
export const sessions = `
  with
    delayed as (
      select
        *,
        date - lag(date) over route >= interval 3 hour as "isAfterGap"
      from reports
      where delay >= 15 and date >= reached
      window route as (partition by origin, destination order by date)
    ),
    numbered as (
      select
        *,
        count(*) filter ("isAfterGap") over (
          partition by origin, destination
          order by date
        ) as session
      from delayed
    )
  select
    origin,
    destination,
    epoch_ms(min(date)) as "windowStart",
    epoch_ms(max(date) + interval 3 hour) - 1 as "windowEnd",
    count(*) as flights,
    sum(delay)::double / count(*) as "meanDelay",
    max(delay) as worst
  from numbered
  group by origin, destination, session`;
