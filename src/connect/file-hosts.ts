import { spawnSync } from 'node:child_process'
import type { Log } from '../../lib/log.ts'
import { CommandError } from '../command/errors.ts'
import { createLog, levelNamed, raisedLevel, stderrSink } from '../command/stderr-log.ts'
import { interactiveAsk } from '../identity/ask.ts'
import { ConfigError } from '../openssh/errors.ts'
import type { LoadSshConfigOptions } from '../openssh/load.ts'
import type { SshConfig } from '../openssh/resolve-ssh-config.ts'
import { explain } from './failures.ts'
import { connectFileHost, type FileHost, fileHostSettings, fileHostThrough, localFileHost } from './file-host.ts'
import { loadHostConfig } from './host-config.ts'

/** What the flags of a command that moves files say about reaching hosts. */
export interface FileHostOptions {
  /** Begins error lines. */
  readonly program: string
  /** Lines of ssh_config(5) that go before every file. */
  readonly options: readonly string[]
  readonly configFile: string | undefined
  /** For hosts that are named without one. */
  readonly port: number | undefined
  /** How often `-v` was given. */
  readonly verbosity: number
  /** Another program that takes the flags of ssh(1) (`-S`), and flags for it. */
  readonly throughProgram: string | undefined
  readonly programFlags: readonly string[]
  /** A local server program instead of any host (`-D`). */
  readonly localServer: string | undefined
  /** Seconds without any answer after which a server of SFTP counts as gone; undefined or 0: never. */
  readonly replyTimeout?: number | undefined
  /** Whether a connection that says nothing counts as lost, unless ServerAliveInterval says when. */
  readonly noticesLoss?: boolean
  /** As in `OpenOptions`. */
  readonly survivesInterrupts?: boolean
}

/** ServerAliveInterval of hosts whose loss must be noticed; three times that is the patience. */
const aliveInterval = 15

export interface HostName {
  readonly user: string | undefined
  readonly host: string
  readonly port: number | undefined
}

/** The hosts of a command: each is connected to once, however many operands name it. */
export class FileHosts {
  readonly #options: FileHostOptions
  readonly #open = new Map<string, Promise<FileHost>>()

  constructor(options: FileHostOptions) {
    this.#options = options
  }

  /** @throws CommandError, ConfigError when it cannot be reached or refuses */
  open(name: HostName): Promise<FileHost> {
    const { user = '', host, port = '' } = name
    const key = `${user}@${host}:${port}`
    const known = this.#open.get(key)
    if (known) return known
    const opening = this.#connect(name)
    this.#open.set(key, opening)
    return opening
  }

  /** Connects to a host anew, after its connection was lost. */
  reopen(name: HostName): Promise<FileHost> {
    const { user = '', host, port = '' } = name
    const key = `${user}@${host}:${port}`
    // One that is dead may never end in an orderly way: nobody waits for it.
    void this.#open.get(key)?.then(
      old => old.close().catch(() => {}),
      () => {},
    )
    this.#open.delete(key)
    return this.open(name)
  }

  /** Milliseconds, as `SessionOptions` has it. */
  get replyTimeout(): number | undefined {
    const { replyTimeout } = this.#options
    return replyTimeout === undefined ? undefined : replyTimeout * 1000
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#open.values()].map(async host => (await host).close()))
  }

  async #connect({ user, host, port = this.#options.port }: HostName): Promise<FileHost> {
    const { program, options, configFile, verbosity, localServer, throughProgram, programFlags } = this.#options
    const { survivesInterrupts } = this.#options
    if (localServer !== undefined) return localFileHost(localServer, survivesInterrupts)
    if (throughProgram !== undefined) {
      const settings = ['-o', 'ForwardAgent no', ...(configFile === undefined ? [] : ['-F', configFile])]
      const flags = [...programFlags, ...settings]
      return fileHostThrough({ program: throughProgram, flags, host, user, port, survivesInterrupts })
    }
    const early = createLog(raisedLevel('INFO', verbosity), stderrSink())
    const files = { file: configFile, exec: runExec, log: early }
    const config = this.#noticing(
      await configOf({
        ...files,
        host,
        user,
        options: [
          ...fileHostSettings,
          ...options,
          ...(port === undefined ? [] : [`Port ${port}`]),
          // After the flags, so that -A and -o win.
          'ForwardAgent no',
        ],
      }),
    )
    try {
      return await connectFileHost({
        config,
        log: logOf(config, verbosity),
        ask: interactiveAsk(process.env),
        print: text => process.stderr.write(`${text}\n`),
        env: process.env,
        survivesInterrupts,
        hopConfig: async (hop, before) => (await import('./hop-config.ts')).hopConfig(hop, before, files),
      })
    } catch (error) {
      throw explain(error, config, program)
    }
  }

  #noticing(config: SshConfig): SshConfig {
    if (!this.#options.noticesLoss || config.serverAliveInterval > 0) return config
    return { ...config, serverAliveInterval: aliveInterval }
  }
}

/** @throws CommandError with ssh's line for a wrong file or option */
async function configOf(options: LoadSshConfigOptions): Promise<SshConfig> {
  try {
    return await loadHostConfig(options)
  } catch (error) {
    throw error instanceof ConfigError ? new CommandError(error.message, 255, { cause: error }) : error
  }
}

/** A `Match exec`, its output dropped. */
const runExec = (line: string): number | undefined =>
  spawnSync(process.env['SHELL'] || '/bin/sh', ['-c', line], { stdio: ['ignore', 'ignore', 'inherit'] }).status ??
  undefined

function logOf(config: SshConfig, verbosity: number): Log {
  return createLog(raisedLevel(levelNamed(config.logLevel), verbosity), stderrSink())
}
