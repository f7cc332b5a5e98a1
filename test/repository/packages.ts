// What package.json and the lockfile promise about the packages underneath.

interface PackageJson {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly version?: string }>>;
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
