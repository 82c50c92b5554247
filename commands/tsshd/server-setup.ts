import { statSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import type { Log } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'
import {
  createLog,
  fileSink,
  type LeveledLog,
  type LineSink,
  type LogLevel,
  levelNamed,
  raisedLevel,
  stderrSink,
} from '../../src/command/stderr-log.ts'
import { syslogSink } from '../../src/command/syslog.ts'
import { versionLine } from '../../src/command/version.ts'
import { foreignFunctions, NativeError } from '../../src/native/ffi.ts'
import { ownAccount } from '../../src/net/accounts.ts'
import { createConfigReader, loadSshdConfig } from '../../src/openssh/load.ts'
import type { ConfigReader, ReadOutcome } from '../../src/openssh/resolve-ssh-config.ts'
import type { SshdConfig } from '../../src/openssh/resolve-sshd-config.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import type { Invocation } from './command-line.ts'
import type { Host } from './host.ts'
import {
  certifiedSigners,
  type KeyMaterial,
  ownHostKey,
  readHostCertificates,
  readHostKeys,
  signersOf,
} from './host-keys.ts'
import { lastLogin } from './last-login.ts'
import { checkPasswordFile } from './password-file.ts'
import type { PasswordSource } from './passwords.ts'
import { isRoot } from './privileges.ts'

/** Where log lines go. */
export type LogPlace =
  | { readonly kind: 'stderr' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'syslog' }

/** Files of a configuration as they were read: every process of a server has the same. */
interface ReadFiles {
  readonly texts: Record<string, ReadOutcome>
  readonly globs: Record<string, readonly string[]>
}

/** All that a Host follows from, in a form that can be sent to another process. */
export interface HostSpec {
  readonly file: string
  readonly options: readonly string[]
  readonly ports: readonly number[]
  readonly files: ReadFiles
  readonly hostKeys: readonly KeyMaterial[]
  readonly hostCertificates: readonly KeyMaterial[]
  readonly everyone: boolean
  readonly passwords: PasswordSource
  readonly logPlace: LogPlace
  readonly debug: number
  readonly quiet: boolean
}

/** The server's files are those of sshd where the command line names none; without a configuration there is none. */
const configFileOf = ({ configFile }: Invocation): string => configFile ?? 'none'

/** Where lines go: to the system's log like sshd's, but to stderr while somebody looks on. */
function logPlaceOf({ logFile, toStderr, debug, mode, configFile }: Invocation): LogPlace {
  if (logFile !== undefined) return { kind: 'file', path: logFile }
  const watched = toStderr || debug > 0 || configFile === undefined || (mode !== 'serve' && mode !== 'inetd')
  return watched ? { kind: 'stderr' } : { kind: 'syslog' }
}

/** Reads the configuration. @throws ConfigError */
export function readConfig(invocation: Invocation): { readonly config: SshdConfig; readonly files: ReadFiles } {
  const files: ReadFiles = { texts: {}, globs: {} }
  const file = configFileOf(invocation)
  const config = loadSshdConfig({
    file,
    options: invocation.options,
    ...(invocation.ports.length > 0 && { ports: invocation.ports }),
    reader: recording(createConfigReader({ uid: process.getuid?.() ?? 0, pipes: [file] }), files),
  })
  return { config, files }
}

function recording(reader: ConfigReader, { texts, globs }: ReadFiles): ConfigReader {
  return {
    read(path, options) {
      texts[path] = reader.read(path, options)
      return texts[path]
    },
    glob(pattern) {
      globs[pattern] = reader.glob(pattern)
      return globs[pattern]
    },
  }
}

const replaying = ({ texts, globs }: ReadFiles): ConfigReader => ({
  read: path => texts[path] ?? { absent: 'No such file or directory', missing: true },
  glob: pattern => globs[pattern] ?? [],
})

/** Reads everything else that a server needs, complaining where sshd does. @throws CommandError */
export function prepareHost(invocation: Invocation, config: SshdConfig, files: ReadFiles): HostSpec {
  const log = logFor(logPlaceOf(invocation), invocation, config)
  log.debug1?.(`tsshd version ${versionLine()}`)
  const everyone = isRoot() && invocation.configFile !== undefined
  return {
    file: configFileOf(invocation),
    options: invocation.options,
    ports: invocation.ports,
    files,
    hostKeys: readHostKeys(
      hostKeyFiles(invocation, config, log),
      { agent: hostKeyAgentOf(config), requiredRsaBits: config.requiredRSASize },
      log,
    ),
    hostCertificates: readHostCertificates(config.hostCertificate, log),
    everyone,
    passwords: passwordSource(invocation, config, everyone, log),
    logPlace: logPlaceOf(invocation),
    debug: invocation.debug,
    quiet: invocation.quiet,
  }
}

const hostKeyAgentOf = ({ hostKeyAgent }: SshdConfig): string | undefined =>
  hostKeyAgent === 'SSH_AUTH_SOCK' ? process.env['SSH_AUTH_SOCK'] || undefined : hostKeyAgent

function hostKeyFiles(invocation: Invocation, config: SshdConfig, log: Log): readonly string[] {
  const configured = config.history.some(({ property, effective }) => property === 'hostKey' && effective)
  if (configured) return config.hostKey
  if (invocation.configFile === undefined) return [ownHostKey(ownAccount().home, log)]
  // Of the usual files, those that are not there are not missed.
  const present = config.hostKey.filter(file => statSync(file, { throwIfNoEntry: false }) !== undefined)
  return present.length > 0 ? present : config.hostKey
}

/** @throws CommandError when the configuration needs what cannot be had */
function passwordSource(
  { passwordFile, configFile }: Invocation,
  config: SshdConfig,
  everyone: boolean,
  log: Log,
): PasswordSource {
  if (passwordFile !== undefined) {
    if (everyone)
      throw new CommandError("tsshd: --password-file is not for root's server: it has the system's passwords", 1)
    if (!isAbsolute(passwordFile))
      return passwordSource(
        { passwordFile: `${process.cwd()}/${passwordFile}`, configFile } as Invocation,
        config,
        everyone,
        log,
      )
    checkPasswordFile(passwordFile)
    return { kind: 'file', file: passwordFile }
  }
  if (!everyone) return { kind: 'none' }
  try {
    foreignFunctions()
    return { kind: config.usePAM ? 'pam' : 'shadow' }
  } catch (error) {
    if (!(error instanceof NativeError)) throw error
    // Rules of PAM that would be passed over, and prisons that would be open, are worse than no server.
    if (config.usePAM) throw new CommandError(`tsshd: UsePAM: ${error.message}`, 1)
    if (config.chrootDirectory !== undefined) throw new CommandError(`tsshd: ChrootDirectory: ${error.message}`, 1)
    if (config.passwordAuthentication) log.error(`No logins by password: ${error.message}`)
    return { kind: 'none' }
  }
}

function logFor(
  place: LogPlace,
  { debug, quiet }: Pick<Invocation, 'debug' | 'quiet'>,
  options: SshdOptions,
): LeveledLog {
  return createLog(levelFor({ debug, quiet }, options), sinkOf(place, options))
}

function levelFor({ debug, quiet }: Pick<Invocation, 'debug' | 'quiet'>, { logLevel }: SshdOptions): LogLevel {
  if (quiet) return 'QUIET'
  return raisedLevel(levelNamed(logLevel), debug)
}

function sinkOf(place: LogPlace, { syslogFacility }: SshdOptions): LineSink {
  switch (place.kind) {
    case 'stderr':
      return stderrSink()
    case 'file':
      return fileSink(place.path)
    case 'syslog':
      return syslogSink('tsshd', syslogFacility)
  }
}

/** The Host of a spec, in whichever process. */
export function hostOf(spec: HostSpec): Host {
  const config = loadSshdConfig({
    file: spec.file,
    options: spec.options,
    ...(spec.ports.length > 0 && { ports: spec.ports }),
    reader: replaying(spec.files),
  })
  const log = logFor(spec.logPlace, spec, config)
  const plain = signersOf(spec.hostKeys)
  return {
    config,
    hostKeys: [...plain, ...certifiedSigners(spec.hostCertificates, plain, log)],
    service: spec.everyone ? 'everyone' : ownAccount(),
    passwords: spec.passwords,
    log,
    newLog: () => log.another(),
    lastLogin: account => (spec.everyone ? lastLogin(account, log) : undefined),
    levelOf: options => levelFor(spec, options),
  }
}
