import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import { type Listening, startListening, testPassword } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { type OnTerminal, onTerminal } from '../support/terminal.ts'

const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))

describe('tssh on a terminal', () => {
  let server: Listening
  let folder: string
  const running = new Set<OnTerminal>()
  beforeAll(async () => {
    server = await startListening()
  })
  afterAll(() => server.close())
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-terminal-'))
  })
  afterEach(() => {
    for (const terminal of running) terminal.kill()
    running.clear()
    rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
  })

  const words = (...more: string[]): string[] => [
    ...[process.execPath, tssh, '-F', 'none', '-p', String(server.server.port), '-o', 'IdentityAgent=none'],
    ...['-o', 'GlobalKnownHostsFile=none', '-o', 'UpdateHostKeys=no', ...more],
  ]
  const known = (): string[] => ['-o', `UserKnownHostsFile=${server.knownHosts}`]
  const start = (...more: string[]): OnTerminal => begin(words(...more))
  const begin = ([file = '', ...args]: string[]): OnTerminal => {
    const terminal = onTerminal(file, args, { HOME: folder, SSH_ASKPASS: '' })
    running.add(terminal)
    return terminal
  }
  /** A shell that survives Ctrl-C and shows the terminal's settings after the command. */
  const withSettings = (...more: string[]): OnTerminal =>
    begin(['sh', '-c', 'trap : INT; "$@"; echo "status $?"; stty -a', 'sh', ...words(...more)])

  test('a password is asked for three times, without echo', async () => {
    const { user } = server
    const passwordOnly = ['-o', 'PreferredAuthentications=password', '-o', 'IdentityFile=none']
    const terminal = start(...known(), ...passwordOnly, '127.0.0.1', 'true')
    for (let attempt = 1; attempt <= 3; attempt++) {
      await terminal.sees(new RegExp(`${user}@127\\.0\\.0\\.1's password: $`))
      terminal.type(`wrong${attempt}\r`)
      if (attempt < 3) await terminal.sees(/Permission denied, please try again\./)
    }
    await terminal.sees(
      new RegExp(`${user}@127\\.0\\.0\\.1: Permission denied \\(publickey,password,keyboard-interactive\\)\\.`),
    )
    expect(await terminal.exit).toBe(255)
    expect(terminal.shown()).not.toContain('wrong')
  })

  test('the right password, with corrections, logs in', async () => {
    const passwordOnly = ['-o', 'PreferredAuthentications=password', '-o', 'IdentityFile=none']
    const terminal = start(...known(), ...passwordOnly, '127.0.0.1', 'echo in; exit 3')
    await terminal.sees(/password: $/)
    terminal.type(`nonsense\x15${testPassword}xy\x7f\x7f\r`)
    await terminal.sees(/in\r\n/)
    expect(await terminal.exit).toBe(3)
  })

  test('keyboard-interactive shows the questions of the server', async () => {
    const only = ['-o', 'PreferredAuthentications=keyboard-interactive', '-o', 'IdentityFile=none']
    const terminal = start(...known(), ...only, '127.0.0.1', 'echo in')
    await terminal.sees(/Two questions/)
    await terminal.sees(/\(\w+@127\.0\.0\.1\) Password: $/)
    terminal.type(`${testPassword}\r`)
    await terminal.sees(/\) Colour: $/)
    terminal.type('blue\r')
    await terminal.sees(/blue[\s\S]*in\r\n/)
    expect(await terminal.exit).toBe(0)
    expect(terminal.shown()).not.toContain(testPassword)
  })

  test.skipIf(!haveProgram('ssh-keygen'))('a passphrase is asked for, and asked for again when wrong', async () => {
    const identity = join(folder, 'locked')
    writeFileSync(identity, readFileSync(server.identity), { mode: 0o600 })
    execFileSync('ssh-keygen', ['-q', '-p', '-N', 'open sesame', '-a', '4', '-f', identity])
    const terminal = start(...known(), '-i', identity, '127.0.0.1', 'echo in')
    for (const answer of ['wrong', 'open sesame']) {
      await terminal.sees(new RegExp(`Enter passphrase for key '${identity}': $`))
      terminal.type(`${answer}\r`)
    }
    await terminal.sees(/in\r\n/)
    expect(await terminal.exit).toBe(0)
  })

  test('an unknown host is asked about: no, nonsense, fingerprint, yes', async () => {
    const file = join(folder, 'known_hosts')
    const shown = fingerprint(server.hostKey.publicKey.blob)
    const args = ['-o', `UserKnownHostsFile=${file}`, '-i', server.identity, '127.0.0.1', 'echo in']
    const refused = start(...args)
    await refused.sees(
      /The authenticity of host '\[127\.0\.0\.1\]:\d+ \(\[127\.0\.0\.1\]:\d+\)' can't be established\./,
    )
    await refused.sees(/\(yes\/no\/\[fingerprint\]\)\? $/)
    refused.type('maybe\r')
    await refused.sees(/Please type 'yes', 'no' or the fingerprint: $/)
    refused.type('no\r')
    await refused.sees(/Host key verification failed\./)
    expect(await refused.exit).toBe(255)
    expect(refused.shown()).toContain(`ED25519 key fingerprint is: ${shown}`)
    for (const [answer, lines] of [
      [shown, 1],
      ['yes', 1],
    ] as const) {
      rmSync(file, { force: true })
      const accepted = start(...args)
      await accepted.sees(/\(yes\/no\/\[fingerprint\]\)\? $/)
      accepted.type(`${answer}\r`)
      await accepted.sees(/Warning: Permanently added '\[127\.0\.0\.1\]:\d+' \(ED25519\) to the list of known hosts\./)
      await accepted.sees(/in\r\n/)
      expect(await accepted.exit).toBe(0)
      expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(lines + 1)
    }
  })

  test('Ctrl-C at a prompt ends the command by the signal and leaves the terminal as it was', async () => {
    const terminal = withSettings(
      ...known(),
      '-o',
      'PreferredAuthentications=password',
      '-o',
      'IdentityFile=none',
      '127.0.0.1',
    )
    await terminal.sees(/password: $/)
    terminal.type('half\x03')
    await terminal.sees(/status 130/)
    const settings = await terminal.sees(/speed[\s\S]*echoke/)
    expect(settings).toMatch(/ echo /)
    expect(settings).toMatch(/[ ;]icanon/)
    expect(settings).toMatch(/[ \n]opost/)
    await terminal.exit
  })

  test('a shell: size, resizing, escapes, and the terminal restored', async () => {
    const terminal = withSettings(
      ...known(),
      '-i',
      server.identity,
      '-tt',
      '127.0.0.1',
      'trap "stty size" WINCH; stty size; while :; do sleep 0.1; done',
    )
    await terminal.sees(/24 80\r\n/)
    terminal.resize(100, 30)
    await terminal.sees(/30 100\r\n/)
    terminal.type('\r~?')
    await terminal.sees(/Supported escape sequences:/)
    terminal.type('\r~#')
    await terminal.sees(/#0 client-session/)
    terminal.type('\r~.')
    await terminal.sees(/Connection to 127\.0\.0\.1 closed\.\r\nstatus 255/)
    const settings = await terminal.sees(/speed[\s\S]*echoke/)
    expect(settings).toMatch(/ echo /)
    expect(settings).toMatch(/[ ;]icanon/)
  })

  test('the size is that of the terminal typed on where the output goes elsewhere', async () => {
    const command = words(...known(), '-i', server.identity, '-tt', '127.0.0.1', 'stty size').map(word => `'${word}'`)
    const terminal = begin(['sh', '-c', `${command.join(' ')} | cat`])
    await terminal.sees(/24 80/)
    await terminal.exit
  })

  test('a reader that stops holds the server back, and the escapes still work', { timeout: 40_000 }, async () => {
    const command = words(...known(), '-i', server.identity, '-tt', '127.0.0.1', 'cat /dev/zero').map(
      word => `'${word}'`,
    )
    const script = `{ ${command.join(' ')}; echo "status $?" >&2; } | sleep 30`
    const terminal = begin(['sh', '-c', script])
    await new Promise(resolve => setTimeout(resolve, 3000))
    const pids = execFileSync('pgrep', ['-f', `cat /dev/zero`], { encoding: 'utf8' }).trim().split('\n')
    const memory = pids.map(pid => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8')
        return /Name:\tnode/.test(status) ? Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) : 0
      } catch {
        return 0
      }
    })
    const used = Math.max(...memory)
    expect(used).toBeGreaterThan(10_000)
    // In KiB: a Node process and a window or two.
    expect(used).toBeLessThan(250_000)
    terminal.type('\r~.')
    await terminal.sees(/status 255/)
  })

  test('keystrokes are hidden among false ones where the server answers PING', async () => {
    const terminal = start(
      ...known(),
      '-vvv',
      '-i',
      server.identity,
      '-tt',
      '127.0.0.1',
      'read word; echo got $word; cat',
    )
    await terminal.sees(/obscuring keystroke timing/)
    terminal.type('x')
    for (let count = 0; count < 3; count++) await terminal.sees(/> PING/)
    terminal.type('yz\r')
    await terminal.sees(/got xyz/)
    terminal.type('\r~.')
    expect(await terminal.exit).toBe(255)
  })
})
