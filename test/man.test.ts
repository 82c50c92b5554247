import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

/** The pages of the commands: each flag that a command's help names must have its place in the command's page. */

const root = fileURLToPath(new URL('..', import.meta.url))
const pages = readdirSync(join(root, 'man')).filter(name => /\.[18]$/.test(name))

/** Flags without a place: scp's own inner ones. */
const gaps: Readonly<Record<string, string>> = {
  'tscp.1': '12dft',
}

const described = (page: string): Set<string> =>
  new Set(
    [...readFileSync(join(root, 'man', page), 'utf8').matchAll(/^\.It (Fl .*)$/gm)].flatMap(([, head = '']) =>
      [...head.matchAll(/Fl (\S+)/g)].map(([, flag = '']) => flag),
    ),
  )

const helpOf = (command: string): string =>
  execFileSync(process.execPath, [join(root, 'bin', `${command}.js`), '--help'], { encoding: 'utf8' })

describe.each(pages)('%s', page => {
  const command = page.replace(/\.\d$/, '')

  test.runIf(existsSync(join(root, 'bin', `${command}.js`)))('has every flag of the command', () => {
    const flags = [...helpOf(command).matchAll(/^ +-([A-Za-z0-9])\b/gm)].map(([, flag = '']) => flag)
    expect(flags.length).toBeGreaterThan(0)
    const there = described(page)
    expect(flags.filter(flag => !there.has(flag) && !gaps[page]?.includes(flag))).toEqual([])
  })

  test.runIf(spawnSync('mandoc', ['-h']).error === undefined)('is clean for mandoc', () => {
    const { stdout } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', join(root, 'man', page)], {
      encoding: 'utf8',
    })
    expect(stdout).toBe('')
  })

  test('is named in package.json', () => {
    expect(readFileSync(join(root, 'package.json'), 'utf8')).toContain(`"man/${page}"`)
  })
})
