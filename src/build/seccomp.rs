//! The system call filter of each world, assembled here.
//!
//! Default allow, as `setupSeccomp` in NixOS/nix: `chmod` and kin fail with
//! EPERM when they would set a setuid or setgid bit, the calls on extended
//! attributes that the world names fail with ENOTSUP. Every ABI of the
//! machine is filtered (x86_64, x32 and i386; aarch64 and arm); a call of
//! any other ABI is allowed, never answered with a kill.
//!
//! [`hardened`] makes a filter that refuses more than Nix does.

use crate::sys::filter::Instruction;

use super::hardening::{self, REFUSED_SOCKET};
use super::world::World;

/// `A = word at K of the call's data`.
const LOAD: u16 = 0x20;
/// `A &= K`.
const AND: u16 = 0x54;
/// Jumps if `A == K`.
const IF_EQUAL: u16 = 0x15;
/// Jumps if `A & K` is not 0.
const IF_SET: u16 = 0x45;
/// Ends with the answer `K`.
const RETURN: u16 = 0x06;

/// The call goes ahead (`SECCOMP_RET_ALLOW`).
const ALLOW: u32 = 0x7fff_0000;
/// The call fails with the errno added to this (`SECCOMP_RET_ERRNO`).
const FAIL: u32 = 0x0005_0000;
/// Operation not permitted.
const EPERM: u32 = 1;
/// Operation not supported.
const ENOTSUP: u32 = 95;
/// No such system call.
const ENOSYS: u32 = 38;

/// Offset of the call's number in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
/// Offset of the ABI (`AUDIT_ARCH_*`).
const ABI_AT: u32 = 4;
/// Offset of the first argument; each is 8 bytes, here little-endian.
const ARGUMENTS_AT: u32 = 16;

/// The setuid and setgid bits of a mode.
const SETID_BITS: u32 = 0o6000;

/// The bit that marks a call of x32, which shares the ABI value of x86_64.
const X32_BIT: u32 = 0x4000_0000;

/// `fchmodat2` has one number everywhere.
const FCHMODAT2: u32 = 452;

/// The filtered calls of one ABI.
pub(super) struct Abi {
    /// Its `AUDIT_ARCH_*`.
    id: u32,
    /// Bits of the number that do not tell calls apart.
    ignored_bits: u32,
    /// `chmod`, where it exists, and `fchmod`: the mode is argument 1.
    mode_second: &'static [u32],
    /// `fchmodat`: the mode is argument 2.
    fchmodat: u32,
    /// `setxattr`, `lsetxattr`, `fsetxattr`.
    setxattr: [u32; 3],
    /// `getxattr`, `lgetxattr`, `fgetxattr`.
    getxattr: [u32; 3],
    /// `listxattr`, `llistxattr`, `flistxattr`.
    listxattr: [u32; 3],
    /// What a hardened filter refuses besides.
    hardening: hardening::Calls,
}

const X86_64: Abi = Abi {
    id: 0xc000_003e,
    ignored_bits: X32_BIT,
    mode_second: &[90, 91],
    fchmodat: 268,
    setxattr: [188, 189, 190],
    getxattr: [191, 192, 193],
    listxattr: [194, 195, 196],
    hardening: hardening::X86_64,
};

const I386: Abi = Abi {
    id: 0x4000_0003,
    ignored_bits: 0,
    mode_second: &[15, 94],
    fchmodat: 306,
    setxattr: [226, 227, 228],
    getxattr: [229, 230, 231],
    listxattr: [232, 233, 234],
    hardening: hardening::I386,
};

const AARCH64: Abi = Abi {
    id: 0xc000_00b7,
    ignored_bits: 0,
    mode_second: &[52],
    fchmodat: 53,
    setxattr: [5, 6, 7],
    getxattr: [8, 9, 10],
    listxattr: [11, 12, 13],
    hardening: hardening::AARCH64,
};

const ARM: Abi = Abi {
    id: 0x4000_0028,
    ignored_bits: 0,
    mode_second: &[15, 94],
    fchmodat: 333,
    setxattr: [226, 227, 228],
    getxattr: [229, 230, 231],
    listxattr: [232, 233, 234],
    hardening: hardening::ARM,
};

/// Which machine a filter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// x86_64, with x32 and i386.
    X86_64,
    /// aarch64, with arm.
    Aarch64,
}

impl Machine {
    /// The machine this program was built for.
    #[must_use]
    pub const fn here() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    const fn abis(self) -> [Abi; 2] {
        match self {
            Self::X86_64 => [X86_64, I386],
            Self::Aarch64 => [AARCH64, ARM],
        }
    }
}

const fn step(code: u16, operand: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, operand }
}

/// Skips `skipped` instructions unless the condition holds.
const fn unless(code: u16, operand: u32, skipped: u8) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: skipped, operand }
}

/// The filter of `world` on `machine`.
#[must_use]
pub fn program(world: &World, machine: Machine) -> Vec<Instruction> {
    let mut program = vec![step(LOAD, ABI_AT)];
    for abi in machine.abis() {
        let calls = filter_calls(world, &abi);
        program.push(unless(IF_EQUAL, abi.id, u8::try_from(calls.len()).unwrap_or(u8::MAX)));
        program.extend(calls);
    }
    program.push(step(RETURN, ALLOW));
    program
}

/// The filter of `world` on `machine`, and beyond that: no tracing, no mounts,
/// no namespaces, no keyrings, no io_uring and other rarely needed ways into
/// the kernel, sockets of the usual families only, and no calls of another ABI
/// than the machine's own. `narrow` is for programs of its 32-bit sister,
/// whose ABI they need.
#[must_use]
pub fn hardened(world: &World, machine: Machine, narrow: bool) -> Vec<Instruction> {
    let mut program = vec![step(LOAD, ABI_AT)];
    let [own, sister] = machine.abis();
    for abi in std::iter::once(own).chain(narrow.then_some(sister)) {
        let mut calls = vec![step(LOAD, NUMBER_AT)];
        if abi.ignored_bits != 0 {
            calls.extend([unless(IF_SET, abi.ignored_bits, 1), step(RETURN, FAIL | ENOSYS)]);
        }
        refuse_more(&abi.hardening, &mut calls);
        calls.extend(filter_calls(world, &abi));
        program.push(unless(IF_EQUAL, abi.id, u8::try_from(calls.len()).unwrap_or(u8::MAX)));
        program.extend(calls);
    }
    program.push(step(RETURN, FAIL | ENOSYS));
    program
}

/// Expects the number of the call at hand, and leaves it so.
fn refuse_more(calls: &hardening::Calls, part: &mut Vec<Instruction>) {
    for call in calls.refused.iter().chain(&hardening::REFUSED_EVERYWHERE) {
        part.extend([unless(IF_EQUAL, *call, 1), step(RETURN, FAIL | EPERM)]);
    }
    // Whose arguments cannot be seen: programs then take the plain call.
    for call in calls.absent.iter().chain(&[hardening::CLONE3]) {
        part.extend([unless(IF_EQUAL, *call, 1), step(RETURN, FAIL | ENOSYS)]);
    }
    part.extend([
        unless(IF_EQUAL, calls.clone, 4),
        step(LOAD, ARGUMENTS_AT),
        unless(IF_SET, hardening::NAMESPACE_FLAGS, 1),
        step(RETURN, FAIL | EPERM),
        step(RETURN, ALLOW),
    ]);
    let families = hardening::SOCKET_FAMILIES;
    let length = u8::try_from(families.len()).unwrap_or(u8::MAX);
    part.extend([unless(IF_EQUAL, calls.socket, length + 3), step(LOAD, ARGUMENTS_AT)]);
    for (family, left) in families.into_iter().zip((1..=length).rev()) {
        part.push(Instruction { code: IF_EQUAL, jump_true: left, jump_false: 0, operand: family });
    }
    part.extend([step(RETURN, FAIL | REFUSED_SOCKET), step(RETURN, ALLOW)]);
}

/// The part for one ABI; ends with an answer whatever the call.
fn filter_calls(world: &World, abi: &Abi) -> Vec<Instruction> {
    let mut part = vec![step(LOAD, NUMBER_AT)];
    if abi.ignored_bits != 0 {
        part.push(step(AND, !abi.ignored_bits));
    }
    let third = [abi.fchmodat, FCHMODAT2];
    let third = if world.filters_fchmodat2 { third.as_slice() } else { &[abi.fchmodat] };
    let modes = abi.mode_second.iter().map(|call| (*call, 1));
    for (call, argument) in modes.chain(third.iter().map(|call| (*call, 2))) {
        part.extend([
            unless(IF_EQUAL, call, 4),
            step(LOAD, ARGUMENTS_AT + 8 * argument),
            unless(IF_SET, SETID_BITS, 1),
            step(RETURN, FAIL | EPERM),
            step(RETURN, ALLOW),
        ]);
    }
    let mut refused = abi.setxattr.to_vec();
    if world.filters_getxattr {
        refused.extend(abi.getxattr);
    }
    if world.filters_listxattr {
        refused.extend(abi.listxattr);
    }
    for call in refused {
        part.extend([unless(IF_EQUAL, call, 1), step(RETURN, FAIL | ENOTSUP)]);
    }
    part.push(step(RETURN, ALLOW));
    part
}

#[cfg(test)]
mod tests {
    use super::super::world::WORLDS;
    use super::*;

    /// Runs a program as the kernel would.
    fn answer(program: &[Instruction], abi: u32, number: u32, arguments: [u64; 3]) -> u32 {
        let mut data = [0_u8; 64];
        data[..4].copy_from_slice(&number.to_le_bytes());
        data[4..8].copy_from_slice(&abi.to_le_bytes());
        for (index, argument) in arguments.iter().enumerate() {
            data[16 + 8 * index..24 + 8 * index].copy_from_slice(&argument.to_le_bytes());
        }
        let (mut a, mut pc) = (0_u32, 0_usize);
        loop {
            let i = program[pc];
            pc += 1;
            let mut jump = |taken: bool| {
                pc += usize::from(if taken { i.jump_true } else { i.jump_false });
            };
            let at = i.operand as usize;
            match i.code {
                LOAD => a = u32::from_le_bytes(data[at..at + 4].try_into().unwrap()),
                AND => a &= i.operand,
                IF_EQUAL => jump(a == i.operand),
                IF_SET => jump(a & i.operand != 0),
                RETURN => return i.operand,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    const X86: u32 = 0xc000_003e;
    const I386_ID: u32 = 0x4000_0003;

    #[test]
    fn setuid_and_setgid_are_refused_on_every_abi() {
        for world in &WORLDS {
            let program = program(world, Machine::X86_64);
            for (abi, number, place) in [
                (X86, 90, 1),
                (X86, 91, 1),
                (X86, 268, 2),
                (X86, X32_BIT | 90, 1),
                (X86, X32_BIT | 268, 2),
                (I386_ID, 15, 1),
                (I386_ID, 94, 1),
                (I386_ID, 306, 2),
            ] {
                for (mode, refused) in [
                    (0o4755, true),
                    (0o2755, true),
                    (0o6000, true),
                    (0o1777, false),
                    (0o755, false),
                ] {
                    let mut arguments = [!0o6000; 3];
                    arguments[place] = mode;
                    let wanted = if refused { FAIL | EPERM } else { ALLOW };
                    assert_eq!(
                        answer(&program, abi, number, arguments),
                        wanted,
                        "{abi:x} {number}"
                    );
                }
            }
        }
    }

    #[test]
    fn each_world_filters_what_it_names() {
        for world in &WORLDS {
            let program = program(world, Machine::X86_64);
            let ask = |abi, number, mode| answer(&program, abi, number, [0, 0, mode]);
            let xattr = |filtered| if filtered { FAIL | ENOTSUP } else { ALLOW };
            for offset in 0..3 {
                for (abi, base) in [(X86, 188), (X86, X32_BIT | 188), (I386_ID, 226)] {
                    assert_eq!(ask(abi, base + offset, 0), FAIL | ENOTSUP);
                    assert_eq!(ask(abi, base + 3 + offset, 0), xattr(world.filters_getxattr));
                    assert_eq!(ask(abi, base + 6 + offset, 0), xattr(world.filters_listxattr));
                    assert_eq!(ask(abi, base + 9 + offset, 0), ALLOW, "removexattr");
                }
            }
            let fchmodat2 = if world.filters_fchmodat2 { FAIL | EPERM } else { ALLOW };
            assert_eq!(ask(X86, FCHMODAT2, 0o4755), fchmodat2);
            assert_eq!(ask(I386_ID, FCHMODAT2, 0o4755), fchmodat2);
            assert_eq!(ask(X86, FCHMODAT2, 0o755), ALLOW);
        }
    }

    #[test]
    fn everything_else_goes_ahead() {
        let program = program(&World::newest(), Machine::X86_64);
        for abi in [X86, I386_ID, 0xc000_00b7, 0] {
            for number in [0, 1, 59, 272, 425, u32::MAX] {
                assert_eq!(answer(&program, abi, number, [0; 3]), ALLOW);
            }
        }
    }

    #[test]
    fn arm_is_filtered_with_its_own_numbers() {
        let program = program(&World::newest(), Machine::Aarch64);
        let (aarch64, arm) = (0xc000_00b7, 0x4000_0028);
        assert_eq!(answer(&program, aarch64, 53, [0, 0, 0o4755]), FAIL | EPERM);
        assert_eq!(answer(&program, aarch64, 52, [0, 0o2755, 0]), FAIL | EPERM);
        assert_eq!(answer(&program, aarch64, 15, [0, 0o4755, 0]), ALLOW);
        assert_eq!(answer(&program, arm, 333, [0, 0, 0o4755]), FAIL | EPERM);
        assert_eq!(answer(&program, arm, 15, [0, 0o4755, 0]), FAIL | EPERM);
        assert_eq!(answer(&program, aarch64, 5, [0; 3]), FAIL | ENOTSUP);
        assert_eq!(answer(&program, X86, 90, [0, 0o4755, 0]), ALLOW);
    }

    #[test]
    fn hardened_filters_refuse_more_and_let_builds_work() {
        for (machine, own, sister) in
            [(Machine::X86_64, X86, I386_ID), (Machine::Aarch64, 0xc000_00b7, 0x4000_0028)]
        {
            let [abi, narrow_abi] = machine.abis();
            let wide = hardened(&World::newest(), machine, false);
            let narrow = hardened(&World::newest(), machine, true);
            assert!(narrow.len() < crate::sys::filter::MAX_INSTRUCTIONS);
            for (program, id, abi) in
                [(&wide, own, &abi), (&narrow, own, &abi), (&narrow, sister, &narrow_abi)]
            {
                let calls = &abi.hardening;
                for call in calls.refused.iter().chain(&hardening::REFUSED_EVERYWHERE) {
                    assert_eq!(answer(program, id, *call, [0; 3]), FAIL | EPERM, "{call}");
                }
                assert_eq!(answer(program, id, hardening::CLONE3, [0; 3]), FAIL | ENOSYS);
                for (flags, refused) in [
                    (17, false),
                    (0x3d_0f00, false),
                    (0x1000_0000, true),
                    (0x2000_0011, true),
                    (0x4000_0000, true),
                    (0x0002_0000, true),
                ] {
                    let wanted = if refused { FAIL | EPERM } else { ALLOW };
                    assert_eq!(answer(program, id, calls.clone, [flags, 0, 0]), wanted);
                }
                for family in 0..50 {
                    let usual = hardening::SOCKET_FAMILIES.contains(&family);
                    let wanted = if usual { ALLOW } else { FAIL | REFUSED_SOCKET };
                    let found = answer(program, id, calls.socket, [family.into(), 1, 0]);
                    assert_eq!(found, wanted, "family {family}");
                }
                // What the world filters is filtered still.
                assert_eq!(answer(program, id, abi.fchmodat, [0, 0, 0o4755]), FAIL | EPERM);
                assert_eq!(answer(program, id, abi.setxattr[0], [0; 3]), FAIL | ENOTSUP);
                assert_eq!(answer(program, id, abi.fchmodat, [0, 0, 0o755]), ALLOW);
            }
            for number in [0, 1, 3, 4] {
                assert_eq!(answer(&wide, own, number, [0; 3]), ALLOW);
                assert_eq!(answer(&wide, sister, number, [0; 3]), FAIL | ENOSYS);
                assert_eq!(answer(&narrow, sister, number, [0; 3]), ALLOW);
                assert_eq!(answer(&narrow, 0x1234, number, [0; 3]), FAIL | ENOSYS);
            }
        }
        let program = hardened(&World::newest(), Machine::X86_64, true);
        assert_eq!(answer(&program, X86, X32_BIT | 1, [0; 3]), FAIL | ENOSYS);
    }

    #[test]
    fn programs_fit_the_kernel() {
        for world in &WORLDS {
            for machine in [Machine::X86_64, Machine::Aarch64] {
                for abi in machine.abis() {
                    let mut calls = filter_calls(world, &abi);
                    refuse_more(&abi.hardening, &mut calls);
                    assert!(calls.len() < usize::from(u8::MAX) - 3, "{}", calls.len());
                }
                let program = program(world, machine);
                assert!(program.len() < crate::sys::filter::MAX_INSTRUCTIONS);
            }
        }
    }
}
