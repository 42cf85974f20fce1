# This file compiles for Linux on another processor, FASTLOG_MACHINE, and runs the tests under user-mode emulation.
# On Debian, it needs: apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
# For s390x, the packages are gcc-s390x-linux-gnu and libc6-dev-s390x-cross instead.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES FASTLOG_MACHINE)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${FASTLOG_MACHINE})
set(CMAKE_C_COMPILER ${FASTLOG_MACHINE}-linux-gnu-gcc)
find_program(FASTLOG_EMULATOR NAMES qemu-${FASTLOG_MACHINE}-static qemu-${FASTLOG_MACHINE})
set(CMAKE_CROSSCOMPILING_EMULATOR ${FASTLOG_EMULATOR})
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
