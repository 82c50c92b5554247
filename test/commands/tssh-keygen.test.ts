import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { progressLine } from '../../commands/tssh-keygen/moduli.ts'
import { keygen, keygenOutput, oursPath } from '../support/keygen.ts'
import { runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { type OnTerminal, onTerminal } from '../support/terminal.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-keygen-command-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = (name: string): string => join(folder, name)
const ours = (...args: string[]): Promise<string> => keygenOutput('ours', args, { cwd: folder })

describe('questions on the terminal', () => {
  let terminal: OnTerminal
  const start = (...args: string[]): OnTerminal => {
    terminal = onTerminal(process.execPath, [oursPath, ...args], { SSH_ASKPASS: '', DISPLAY: '', SSH_AUTH_SOCK: '' })
    return terminal
  }
  afterEach(() => terminal.kill())

  test('a file, whether to write over it, and a passphrase twice, unseen', async () => {
    writeFileSync(path('asked'), 'old')
    const asked = start('-t', 'ed25519', '-a', '2', '-C', 'me')
    await asked.sees(/Generating public\/private ed25519 key pair\.\r\n/)
    await asked.sees(/Enter file in which to save the key \(.*\/\.ssh\/id_ed25519\): /)
    asked.type(`${path('asked')}\n`)
    await asked.sees(/asked already exists\.\r\nOverwrite \(y\/n\)\? /)
    asked.type('y\n')
    await asked.sees(/Enter passphrase for ".*asked" \(empty for no passphrase\): /)
    asked.type('one secret\n')
    await asked.sees(/Enter same passphrase again: /)
    asked.type('another\n')
    await asked.sees(/Passphrases do not match\. {2}Try again\.\r\n/)
    for (const question of [/Enter passphrase for .*: /, /Enter same passphrase again: /]) {
      await asked.sees(question)
      asked.type('one secret\n')
    }
    await asked.sees(/Your identification has been saved in .*asked\r\n/)
    await asked.sees(/The key's randomart image is:\r\n\+--\[ED25519 256\]--\+\r\n/)
    expect(await asked.exit).toBe(0)
    expect(asked.shown()).not.toContain('one secret')
    expect(await ours('-y', '-P', 'one secret', '-f', path('asked'))).toBe(readFileSync(path('asked.pub'), 'utf8'))
  })

  test('a passphrase of a key, the old and the new', async () => {
    await ours('-q', '-t', 'ed25519', '-a', '2', '-N', 'before', '-C', '', '-f', path('changed'))
    const asked = start('-p', '-a', '2', '-f', path('changed'))
    await asked.sees(/Enter old passphrase: /)
    asked.type('before\n')
    await asked.sees(/Key has comment ''\r\n/)
    for (const question of [/Enter new passphrase \(empty for no passphrase\): /, /Enter same passphrase again: /]) {
      await asked.sees(question)
      asked.type('after\n')
    }
    await asked.sees(/saved with the new passphrase/)
    expect(await asked.exit).toBe(0)
    expect((await keygen('ours', ['-y', '-P', 'after', '-f', path('changed')], { cwd: folder })).status).toBe(0)
  })

  test('Ctrl-C ends it as the signal does, and nothing was written', async () => {
    const asked = start('-t', 'ed25519', '-f', path('interrupted'))
    await asked.sees(/Enter passphrase/)
    asked.type('\x03')
    await asked.exit
    expect(existsSync(path('interrupted'))).toBe(false)
  })
})

test('SSH_ASKPASS asks when it must, or when there is a display and no terminal', async () => {
  await ours('-q', '-t', 'ed25519', '-a', '2', '-N', 'from askpass', '-f', path('askpass-key'))
  writeFileSync(path('askpass'), `#!/bin/sh\nprintf '%s' "$1" > ${path('question')}\necho from askpass\n`, {
    mode: 0o755,
  })
  for (const [name, value] of [
    ['SSH_ASKPASS_REQUIRE', 'force'],
    ['DISPLAY', ':99'],
  ] as const) {
    const options = { cwd: folder, env: { SSH_ASKPASS: path('askpass'), [name]: value } }
    expect(await keygen('ours', ['-y', '-f', 'askpass-key'], options)).toMatchObject({ status: 0, stderr: '' })
    expect(readFileSync(path('question'), 'utf8')).toBe('Enter passphrase for "askpass-key": ')
  }
  const never = { SSH_ASKPASS: path('askpass'), DISPLAY: ':99', SSH_ASKPASS_REQUIRE: 'never' }
  expect(await keygen('ours', ['-y', '-f', 'askpass-key'], { cwd: folder, env: never })).toMatchObject({ status: 255 })
})

describe('files', () => {
  test('a private key is for its owner alone, even where others could read what was there', async () => {
    await ours('-q', '-t', 'ed25519', '-N', '', '-f', path('open'))
    chmodSync(path('open'), 0o600)
    writeFileSync(path('wide'), 'old')
    chmodSync(path('wide'), 0o666)
    await keygen('ours', ['-q', '-t', 'ed25519', '-N', '', '-f', path('wide')], { cwd: folder, input: 'y\n' })
    expect(statSync(path('wide')).mode & 0o777).toBe(0o600)
    expect(statSync(path('wide.pub')).mode & 0o777).toBe(0o644)
  })

  test('a link stays a link, and nothing half-written is left', async () => {
    mkdirSync(path('real'))
    writeFileSync(path('real/known_hosts'), 'old.example ssh-ed25519 AAAA\nnew.example ssh-ed25519 AAAA\n')
    symlinkSync('real/known_hosts', path('link'))
    await ours('-R', 'old.example', '-f', path('link'))
    expect(lstatSync(path('link')).isSymbolicLink()).toBe(true)
    expect(readFileSync(path('link'), 'utf8')).toBe('new.example ssh-ed25519 AAAA\n')
    expect(readdirSync(path('real'))).toEqual(['known_hosts'])
    expect(readFileSync(path('link.old'), 'utf8')).toBe('old.example ssh-ed25519 AAAA\nnew.example ssh-ed25519 AAAA\n')
  })

  // Killed as it enters a call of the rewrite, which then does nothing.
  test.skipIf(!haveProgram('strace')).each([
    ['rename', ['-R', 'old.example']],
    ['fsync', ['-H']],
  ])('a crash in %s, with %j, leaves known_hosts as it was', { timeout: 90_000 }, async (call, args) => {
    const crash = mkdtempSync(path('crash-'))
    const file = join(crash, 'known_hosts')
    const contents = 'old.example ssh-ed25519 AAAA\nnew.example ssh-ed25519 AAAA\n'
    writeFileSync(file, contents)
    const trace = ['-f', '-o', join(crash, 'trace'), '-e', `trace=${call}`]
    const kill = ['-e', `inject=${call}:error=EIO:signal=SIGKILL`]
    // What V8 compiled would be kept by a rename too.
    const env = { NODE_DISABLE_COMPILE_CACHE: '1' }
    const ran = await runProgram('strace', [...trace, ...kill, process.execPath, oursPath, ...args, '-f', file], {
      env,
    })
    expect(ran.stdout.toString()).not.toContain('updated')
    expect(readFileSync(join(crash, 'trace'), 'utf8')).toMatch(new RegExp(`${call}\\([^]*killed by SIGKILL`))
    expect(readFileSync(file, 'utf8')).toBe(contents)
    // And the next one works.
    await ours('-R', 'old.example', '-f', file)
    expect(readFileSync(file, 'utf8')).toBe('new.example ssh-ed25519 AAAA\n')
    expect(readFileSync(`${file}.old`, 'utf8')).toBe(contents)
  })

  test('whoever reads while keys change sees a whole file', async () => {
    await ours('-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', path('busy'))
    let [running, seen] = [true, 0]
    const reader = (async () => {
      while (running) {
        const text = readFileSync(path('busy'), 'utf8')
        expect(text).toMatch(/^-----BEGIN OPENSSH PRIVATE KEY-----\n[\s\S]*-----END OPENSSH PRIVATE KEY-----\n$/)
        seen++
        await new Promise(resolve => setImmediate(resolve))
      }
    })()
    for (const passphrase of ['', '', '']) await ours('-q', '-p', '-N', passphrase, '-f', path('busy'))
    running = false
    await reader
    expect(seen).toBeGreaterThan(10)
  })

  test('bytes of known_hosts that are no UTF-8 stay as they are', async () => {
    const line = Buffer.from('a.example ssh-ed25519 AAAA \xff\xfe comment\n', 'latin1')
    writeFileSync(path('bytes'), Buffer.concat([line, Buffer.from('b.example ssh-ed25519 AAAA\n')]))
    await ours('-R', 'b.example', '-f', path('bytes'))
    expect(readFileSync(path('bytes')).equals(line)).toBe(true)
  })

  test('a list of revoked keys may go to a pipe', async () => {
    await ours('-q', '-t', 'ed25519', '-N', '', '-f', path('piped'))
    const command = `'${process.execPath}' '${oursPath}' -q -k -f /dev/stdout '${path('piped.pub')}' | head -c 6`
    expect(execFileSync('sh', ['-c', command], { encoding: 'utf8' })).toBe('SSHKRL')
  })
})

test('a comment cannot command the terminal', async () => {
  await ours('-q', '-t', 'ed25519', '-N', '', '-C', 'evil \x1b]0;title\x07', '-f', path('evil'))
  expect(await ours('-l', '-f', path('evil.pub'))).toContain('evil \\033]0;title\\007 (ED25519)')
})

test('every fatal error is one line without a stack', async () => {
  writeFileSync(path('damaged'), '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n', {
    mode: 0o600,
  })
  for (const args of [
    ['-y', '-f', 'damaged'],
    ['-p', '-N', '', '-f', 'damaged'],
    ['-l', '-f', 'damaged'],
    ['-i', '-f', 'damaged'],
    ['-L', '-f', 'damaged'],
    ['-Q', '-f', 'damaged'],
    ['-s', 'damaged', '-I', 'x', 'damaged'],
    ['-y', '-f', '.'],
    ['-l', '-f', '.'],
    ['-Q', '-f', '.'],
    ['-F', 'x', '-f', '.'],
    ['-Y', 'check-novalidate', '-n', 'x', '-s', 'damaged'],
  ]) {
    const { status, stderr } = await keygen('ours', args, { cwd: folder })
    expect([args, status !== 0, / at /.test(stderr)]).toEqual([args, true, false])
  }
})

test('-r -O hashalg=: only this hash; others that ssh-keygen knows have no record, and unknown ones are refused', async () => {
  await ours('-q', '-t', 'ed25519', '-N', '', '-f', path('records'))
  const records = (...options: string[]) =>
    keygen('ours', ['-r', 'host', '-f', path('records.pub'), ...options.flatMap(option => ['-O', option])], {
      cwd: folder,
    })
  const [sha1, sha256] = (await records()).stdout.trim().split('\n')
  expect(await records('hashalg=SHA1')).toMatchObject({ status: 0, stdout: `${sha1}\n`, stderr: '' })
  expect(await records('HashAlg=sha256')).toMatchObject({ status: 0, stdout: `${sha256}\n`, stderr: '' })
  for (const hash of ['md5', 'sha384', 'sha512'])
    expect(await records(`hashalg=${hash}`)).toMatchObject({
      status: 0,
      stdout: '',
      stderr: 'unsupported algorithm and/or digest_type\n',
    })
  const unknown = await records('hashalg=sha3')
  expect(unknown).toMatchObject({ status: 255, stdout: '', stderr: 'Unsupported hash algorithm\n' })
  expect(await records('hash=sha1')).toMatchObject({ status: 0, stdout: '', stderr: 'Invalid option "hash=sha1"\n' })
})

test('how far a screening of moduli is', () => {
  const at = new Date(2026, 2, 5, 7, 8, 9)
  const after = (seconds: number) => ({ began: at.getTime() - seconds * 1000 })
  const say = (seconds: number, processed: number, total?: number) =>
    progressLine({ ...after(seconds), processed, total }, at)
  // 100 of 400 lines in five minutes: the other 300 take fifteen.
  expect(say(300, 100, 400)).toBe('Thu Mar  5 07:08:09 2026 processed 100 of 400 (25%) in 0:05, ETA 0:15')
  expect(say(26 * 3600 + 120, 1, 3)).toBe('Thu Mar  5 07:08:09 2026 processed 1 of 3 (33%) in 1d 2:02, ETA 2d 4:04')
  expect(say(7200, 12)).toBe('Thu Mar  5 07:08:09 2026 processed 12 in 2:00')
})
