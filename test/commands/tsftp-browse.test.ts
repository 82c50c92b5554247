import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { onTerminal } from '../support/terminal.ts'

const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))
const isBuilt = existsSync(fileURLToPath(new URL('../../dist', import.meta.url)))

let folder: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'tssh-browse-')))
  mkdirSync(join(folder, 'here/docs/inner'), { recursive: true })
  mkdirSync(join(folder, 'there'))
  for (const name of ['a', 'b', 'c', 'esc\x1b[31m']) writeFileSync(join(folder, 'here', name), `text of ${name}`)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const until = async (condition: () => boolean): Promise<void> => {
  for (let tries = 0; tries < 600 && !condition(); tries++) await new Promise(resolve => setTimeout(resolve, 25))
  expect(condition()).toBe(true)
}

const keys = {
  up: '\x1b[A',
  down: '\x1b[B',
  home: '\x1b[H',
  tmuxHome: '\x1b[1~',
  end: '\x1b[F',
  enter: '\r',
  back: '\x7f',
}

describe.skipIf(!isBuilt)('tsftp browse on a terminal', () => {
  test('starts from compiled code that earlier runs left', async () => {
    for (let run = 0; run < 3; run++) {
      const server = `${process.execPath} ${bin('tsftp-server')}`
      const args = [bin('tsftp'), 'browse', '-D', server, folder, `x:${folder}`]
      const terminal = onTerminal(process.execPath, args, { TERM: 'xterm' })
      try {
        await terminal.sees(/there\//)
        // The first one may come before the screen listens.
        const typing = setInterval(() => terminal.type('q'), 300)
        expect(await terminal.exit.finally(() => clearInterval(typing))).toBe(0)
        expect(terminal.shown()).not.toContain('Warning')
      } finally {
        terminal.kill()
      }
    }
  }, 60_000)

  test('a terminal that becomes smaller is drawn anew, and what was on it comes back', async () => {
    const server = `${process.execPath} ${bin('tsftp-server')}`
    const args = [bin('tsftp'), 'browse', '-D', server, folder, `x:${folder}`]
    const terminal = onTerminal(process.execPath, args, { TERM: 'xterm' })
    try {
      await terminal.sees(/┌─{38}┐┌─{38}┐[\s\S]*there\/[\s\S]*there\/[\s\S]*for help/)
      terminal.resize(60, 12)
      await terminal.sees(/\x1b\[2J[\s\S]*┌─{28}┐┌─{28}┐([^\n]*\n){9}[^\n]*└─{28}┘└─{28}┘/)
      terminal.type('q')
      expect(await terminal.exit).toBe(0)
      const shown = terminal.shown()
      expect(shown.indexOf('\x1b[?1049h')).toBeGreaterThan(-1)
      expect(shown.indexOf('\x1b[?1049h')).toBeLessThan(shown.indexOf('┌'))
      expect(shown.lastIndexOf('\x1b[?1049l')).toBeGreaterThan(shown.lastIndexOf('└'))
    } finally {
      terminal.kill()
    }
  }, 60_000)

  test('every key does what the help says', async () => {
    const at = (...names: string[]): string => join(folder, ...names)
    const server = `${process.execPath} ${bin('tsftp-server')}`
    const args = [bin('tsftp'), 'browse', '-D', server, at('here'), `x:${at('there')}`]
    const terminal = onTerminal(process.execPath, args, { TERM: 'xterm' })
    const press = async (typed: string): Promise<void> => {
      terminal.type(typed)
      await new Promise(resolve => setTimeout(resolve, 150))
    }
    try {
      await terminal.sees(/\? for help/)
      await terminal.sees(/esc\\033\[31m/)
      await press('?')
      await terminal.sees(/Tab other side/)
      await press('x')
      // ../ docs a b c esc: the third from the top is a.
      await press(`${keys.end}${keys.end}`)
      await press(keys.home)
      await press(keys.down)
      await press(keys.down)
      await press('c')
      await until(() => existsSync(at('there/a')))
      await press(keys.tmuxHome)
      await press('jjj')
      await press(' ')
      await press(' ')
      await press('c')
      await until(() => existsSync(at('there/b')) && existsSync(at('there/c')))
      expect(readFileSync(at('there/c'), 'utf8')).toBe('text of c')
      await press('g')
      await press('j')
      await press(keys.enter)
      await terminal.sees(/inner/)
      await press(keys.back)
      await press('c')
      await until(() => existsSync(at('there/docs/inner')))
      await press(keys.end)
      await press('v')
      await terminal.sees(/text of esc\\033\[31m/)
      await press('q')
      await press('\t')
      await press('G')
      await press('r')
      await press(`${keys.back}renamed${keys.enter}`)
      await until(() => existsSync(at('there/renamed')))
      await press('n')
      await press(`made${keys.enter}`)
      await until(() => existsSync(at('there/made')))
      await press('d')
      await press('n')
      expect(readdirSync(at('there')).length).toBe(5)
      await press('d')
      await press('y')
      await until(() => readdirSync(at('there')).length === 4)
      await press('q')
      expect(await terminal.exit).toBe(0)
      // Nothing of a name drives the terminal.
      expect(terminal.shown()).not.toContain('esc\x1b[31m')
    } finally {
      terminal.kill()
    }
  }, 60_000)
})
