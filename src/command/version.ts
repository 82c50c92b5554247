import { readFileSync } from 'node:fs'

/** Written into the commands when they are built. */
declare const builtVersion: string | undefined

let version: string | undefined

/** The version of the package, from its package.json (found upwards, as sources and bundles lie at different depths). */
export function packageVersion(): string {
  if (typeof builtVersion === 'string') return builtVersion
  for (let folder = new URL('.', import.meta.url); version === undefined; folder = new URL('..', folder)) {
    try {
      const manifest: unknown = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8'))
      if (isManifest(manifest) && manifest.name === 'tssh') version = manifest.version
    } catch (error) {
      if (folder.pathname === '/') throw error
    }
  }
  return version
}

const isManifest = (value: unknown): value is { name: string; version: string } =>
  typeof value === 'object' && value !== null && 'name' in value && 'version' in value

/** What the identification line says of us (RFC 4253 §4.2). */
export const softwareVersion = (): string => `tssh_${packageVersion()}`

/** What `-V` prints, as OpenSSH does: our version, then the library under the ciphers. */
export const versionLine = (): string =>
  `tssh_${packageVersion()}, Node.js ${process.version}, OpenSSL ${process.versions['openssl']}`
