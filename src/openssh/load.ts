import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs'
import { hostname, networkInterfaces, userInfo } from 'node:os'
import { resolve as resolvePath } from 'node:path'
import { hash } from '../../lib/crypto/hash.ts'
import { matchName } from '../../lib/sftp/glob.ts'
import type { HostLookup, LookupRequest } from './canonicalize.ts'
import { engineAlgorithmNames } from './engine-algorithms.ts'
import { ConfigError } from './errors.ts'
import type { IncludedText, LintFinding, ReadIncludes } from './lint.ts'
import {
  type ConfigReader,
  maxConfigFiles,
  maxIncludeDepth,
  type ReadOutcome,
  resolveSshConfig,
  resolveSshConfigWithDns,
  type SshConfig,
  type SshConfigInputs,
  type SshConfigSource,
} from './resolve-ssh-config.ts'
import { resolveSshdConfig, type SshdConfig, type SshdConfigInputs } from './resolve-sshd-config.ts'
import { expandTilde } from './tokens.ts'

/** Largest configuration file, in bytes. */
export const maxConfigBytes = 4 * 1024 * 1024
/** Most names that an Include with wildcards may give. */
export const maxGlobResults = 1024

const errorText: Readonly<Record<string, string>> = {
  ENOENT: 'No such file or directory',
  EACCES: 'Permission denied',
  EISDIR: 'Is a directory',
  ENOTDIR: 'Not a directory',
  ELOOP: 'Too many levels of symbolic links',
}

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : 'EIO')

/** A pipe has no size: it is read to its end, up to the bound. */
function readBounded(descriptor: number, path: string): string {
  const chunks: Buffer[] = []
  for (let size = 0; ; ) {
    const chunk = Buffer.allocUnsafe(65_536)
    const length = readSync(descriptor, chunk, 0, chunk.length, null)
    if (length === 0) return Buffer.concat(chunks).toString('utf8')
    size += length
    if (size > maxConfigBytes) throw new ConfigError(path, 0, `${path}: configuration file is too large`)
    chunks.push(chunk.subarray(0, length))
  }
}

function refuseStrange(path: string, stat: Stats, pipes: 'allowed' | 'refused'): void {
  if (stat.isFile() || path === '/dev/null' || (pipes === 'allowed' && stat.isFIFO())) return
  throw new ConfigError(path, 0, `${path}: not a regular file`)
}

/** Reads configuration from the disk: regular files only (pipes only where `pipes` names them), of a bounded size. */
export function createConfigReader(options: {
  readonly uid: number
  readonly pipes?: readonly string[]
}): ConfigReader {
  return {
    read(path, { owner }): ReadOutcome {
      let descriptor: number
      try {
        // Opening a pipe that nobody writes to would wait for ever.
        const pipes = options.pipes?.includes(path) ? 'allowed' : 'refused'
        refuseStrange(path, statSync(path), pipes)
        descriptor = openSync(path, constants.O_RDONLY)
      } catch (error) {
        if (error instanceof ConfigError) throw error
        const code = codeOf(error)
        return { absent: errorText[code] ?? code, missing: code === 'ENOENT' }
      }
      try {
        const stat = fstatSync(descriptor)
        refuseStrange(path, stat, options.pipes?.includes(path) ? 'allowed' : 'refused')
        const safeOwner = stat.uid === 0 || stat.uid === options.uid
        if (owner && (!safeOwner || (stat.mode & 0o022) !== 0)) {
          throw new ConfigError(path, 0, `Bad owner or permissions on ${path}`)
        }
        return { text: readBounded(descriptor, path) }
      } finally {
        closeSync(descriptor)
      }
    },
    glob: globFiles,
  }
}

/** glob(3): `*`, `?` and `[…]` in each part of a path; names that begin with a dot must be asked for. */
export function globFiles(pattern: string): readonly string[] {
  let paths = [pattern.startsWith('/') ? '/' : '']
  for (const part of pattern.split('/').filter(part => part !== '')) {
    const next: string[] = []
    for (const base of paths) {
      const prefix = base === '' || base.endsWith('/') ? base : `${base}/`
      if (!/[*?[\\]/.test(part)) next.push(`${prefix}${part}`)
      else
        next.push(
          ...listNames(prefix || '.')
            .filter(name => matchName(part, name))
            .map(name => `${prefix}${name}`),
        )
      if (next.length > maxGlobResults) throw new ConfigError(pattern, 0, `${pattern}: too many files`)
    }
    paths = next
  }
  return paths.filter(exists)
}

function listNames(directory: string): string[] {
  try {
    return readdirSync(directory).sort()
  } catch {
    return []
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

/** The home directory of a user of this machine. */
export function homeOfUser(user: string): string | undefined {
  const rows = readFileSync('/etc/passwd', 'utf8').split('\n')
  return rows.find(row => row.startsWith(`${user}:`))?.split(':')[5]
}

type Injected = Pick<
  SshConfigInputs,
  'host' | 'user' | 'options' | 'command' | 'stdioForward' | 'exec' | 'algorithms' | 'version' | 'log'
>

/** What a command or a library user knows; everything else comes from the machine. */
export interface LoadSshConfigOptions extends Injected {
  /** `-F`: read instead of the usual two files; `none` reads no file. */
  readonly file?: string | undefined
  readonly home?: string
  readonly env?: SshConfigInputs['env']
  readonly localUser?: string
  readonly localHost?: string
  /** The system's file; `/etc/ssh/ssh_config`. */
  readonly systemFile?: string
}

function machineInputs(options: LoadSshConfigOptions): SshConfigInputs {
  const account = userInfo()
  const home = options.home ?? account.homedir
  return {
    ...options,
    algorithms: options.algorithms ?? engineAlgorithmNames,
    sources: sources(options, home),
    reader: createConfigReader({ uid: account.uid, ...(options.file === undefined ? {} : { pipes: [options.file] }) }),
    localUser: options.localUser ?? account.username,
    uid: account.uid,
    home,
    homeOf: homeOfUser,
    localHost: options.localHost ?? hostname(),
    env: options.env ?? process.env,
    sha1: text => hash('sha1', Buffer.from(text)).toString('hex'),
    localAddresses: () =>
      Object.values(networkInterfaces()).flatMap(list => (list ?? []).map(({ address }) => address)),
  }
}

function sources({ file, systemFile = '/etc/ssh/ssh_config' }: LoadSshConfigOptions, home: string): SshConfigSource[] {
  if (file?.toLowerCase() === 'none') return []
  if (file !== undefined) return [{ path: file, origin: 'user', required: true, checkOwner: false }]
  return [
    { path: `${home}/.ssh/config`, origin: 'user', required: false, checkOwner: true },
    { path: systemFile, origin: 'system', required: false, checkOwner: false },
  ]
}

/**
 * Reads the configuration of this machine for one host, without asking the DNS.
 * @throws ConfigError
 */
export function loadSshConfig(options: LoadSshConfigOptions): SshConfig {
  return resolveSshConfig(machineInputs(options))
}

/** As `loadSshConfig`; host names are canonicalised with `lookup` where the configuration says so. */
export function loadSshConfigWithDns(
  options: LoadSshConfigOptions,
  lookup: (request: LookupRequest) => Promise<HostLookup>,
): Promise<SshConfig> {
  return resolveSshConfigWithDns(machineInputs(options), lookup)
}

/**
 * The files that Include lines name, for `lintSshConfig` (`base` is `~/.ssh`) and `lintSshdConfig` (`/etc/ssh`). Names
 * with tokens or variables depend on a connection and are passed over.
 */
function includesForLint(base: string): ReadIncludes {
  const account = userInfo()
  const reader = createConfigReader({ uid: account.uid })
  let opened = 0
  return ({ words = [], file, line }, depth) => {
    if (depth >= maxIncludeDepth) throw new ConfigError(file, line, 'too many recursive includes')
    const patterns = words.filter(word => word !== '' && !/[%$]/.test(word))
    return patterns.flatMap(word => {
      const anchored = /^[/~]/.test(word) ? word : `${base}/${word}`
      const paths = reader.glob(expandTilde(anchored, { home: account.homedir, homeOf: homeOfUser }))
      return paths.map((path): IncludedText => {
        if (++opened > maxConfigFiles) throw new ConfigError(file, line, 'too many configuration files')
        const outcome = reader.read(path, { owner: false })
        if (!('text' in outcome)) throw new ConfigError(path, 0, `${path}: ${outcome.absent}`)
        return { file: path, text: outcome.text }
      })
    })
  }
}

/** Reads a configuration file and what it includes for a check. @throws ConfigError when the file itself cannot be read */
export function lintFile(
  lint: (text: string, file: string, includes: ReadIncludes) => LintFinding[],
  path: string,
  base: string,
): LintFinding[] {
  const outcome = createConfigReader({ uid: userInfo().uid, pipes: [path] }).read(path, { owner: false })
  if (!('text' in outcome)) throw new ConfigError(path, 0, `${path}: ${outcome.absent}`)
  return lint(outcome.text, path, includesForLint(base))
}

/** What tsshd or a library user knows; everything else comes from the machine. */
export interface LoadSshdConfigOptions
  extends Pick<SshdConfigInputs, 'options' | 'ports' | 'algorithms' | 'log'>,
    Partial<Pick<SshdConfigInputs, 'version' | 'groupsOf' | 'env'>> {
  /** `-f`; `none` reads no file. */
  readonly file: string
  /** Where files are read from instead of the disk. */
  readonly reader?: ConfigReader
}

/** Names of the groups of a user, as id(1) knows them; none for an unknown user. */
export function groupsOfUser(user: string): readonly string[] {
  if (!/^[A-Za-z0-9_.][A-Za-z0-9_.-]{0,255}$/.test(user)) return []
  try {
    const names = execFileSync('id', ['-Gn', '--', user], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 10_000,
    })
    return names.trim().split(' ')
  } catch {
    return []
  }
}

/**
 * Reads the server's configuration of this machine.
 * @throws ConfigError
 */
export function loadSshdConfig(options: LoadSshdConfigOptions): SshdConfig {
  const account = userInfo()
  const home = { home: account.homedir, homeOf: homeOfUser }
  return resolveSshdConfig({
    version: 'OpenSSH_10.5p1',
    groupsOf: groupsOfUser,
    env: process.env,
    algorithms: engineAlgorithmNames,
    ...options,
    file: options.file.toLowerCase() === 'none' ? undefined : options.file,
    reader: options.reader ?? createConfigReader({ uid: account.uid, pipes: [options.file] }),
    absolutePath: path => (path.toLowerCase() === 'none' ? 'none' : resolvePath(expandTilde(path, home))),
  })
}
