// What package.json and the lockfile promise about the packages underneath.

interface PackageJson {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

interface LockedPackage {
  readonly version?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Lockfile {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

/** Dependencies without an exact version: two installs could differ. */
export function unpinned({ dependencies, devDependencies }: PackageJson): string[] {
  return Object.entries({ ...dependencies, ...devDependencies })
    .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    .map(([name, version]) => `${name}@${version}`);
}

/** Every place where the package is installed, as `path@version`. */
export function installsOf(name: string, { packages }: Lockfile): string[] {
  return Object.entries(packages)
    .filter(([path]) => path === `node_modules/${name}` || path.endsWith(`/node_modules/${name}`))
    .map(([path, { version }]) => `${path}@${version ?? "?"}`);
}

/**
 * Optional dependencies, such as the binaries of other platforms, that the lockfile leaves out. npm
 * drops those that its registry does not have, and `npm ci` then refuses the lockfile.
 */
export function missingFrom({ packages }: Lockfile): string[] {
  return Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !placesFor(name, path).some((place) => Object.hasOwn(packages, place)),
    ),
  );
}

/** Where Node would look for `name` from inside the package at `path`. */
function placesFor(name: string, path: string): string[] {
  const place = `${path === "" ? "" : `${path}/`}node_modules/${name}`;
  if (path === "") return [place];
  const parent = path.slice(0, Math.max(0, path.lastIndexOf("/node_modules/")));
  return [place, ...placesFor(name, parent)];
}
