// The kernels of framework/cuda as loops of the host: every block one after another, by a team.
#pragma once

#include "cuda/launch.hpp"

namespace hearth::test {

/// run(work) calls work(team) with the team, in as many threads as it has.
template <class T, class Run>
void all_blocks(const cuda::Norm<T>& a, const Run& run) {
    run([&](const auto& team) {
        for (std::int64_t row = 0; row < a.rows; ++row) norm_row(a, row, team);
    });
}

template <class T, class Run>
void all_blocks(const cuda::NormBackward<T>& a, const Run& run) {
    run([&](const auto& team) {
        for (int strip = 0; strip < a.strips; ++strip) norm_backward_strip(a, strip, team);
    });
}

template <class Run>
void all_blocks(const cuda::ColumnSums& a, const Run& run) {
    run([&](const auto& team) {
        for (int column = 0; column < a.planes * a.width + 3; ++column) column_sum(a, column, team);
    });
}

template <class T, class Run>
void all_blocks(const cuda::GeluBackward<T>& a, const Run& run) {
    constexpr int columns = 256;
    run([&](const auto& team) {
        for (int strip = 0; strip < a.strips; ++strip)
            for (int begin = 0; begin < a.width; begin += columns)
                gelu_backward_strip(a, strip, begin, std::min(columns, a.width - begin), team);
    });
}

template <class Run>
void all_blocks(const cuda::UpdateAll& a, const Run& run) {
    run([&](const auto& team) {
        for (int piece = 0; piece < a.piece_count; ++piece) sum_squares(a, piece, team);
    });
    run([&](const auto& team) {  // in no order that anything may depend on
        for (int piece = a.piece_count - 1; piece >= 0; --piece) update_piece(a, piece, team);
    });
}

template <class Run>
void all_blocks(const cuda::Crops& a, const Run& run) {
    const auto planes = crop_planes(a);
    const auto of_kernel = [&](std::int64_t blocks, const auto& strip) {
        run([&](const auto& team) {
            for (std::int64_t block = blocks - 1; block >= 0; --block) strip(block, team);
        });
    };
    of_kernel(planes * cuda::crop_strips(a.height),
              [&](std::int64_t block, const auto& team) { narrow_strip(a, block, team); });
    const auto blocks = planes * cuda::crop_strips(a.size);
    of_kernel(blocks, [&](std::int64_t block, const auto& team) { shorten_strip(a, block, team); });
    of_kernel(blocks, [&](std::int64_t block, const auto& team) { blur_rows_strip(a, block, team); });
    of_kernel(blocks, [&](std::int64_t block, const auto& team) { blur_columns_strip(a, block, team); });
    of_kernel(blocks, [&](std::int64_t block, const auto& team) { finish_strip(a, block, team); });
}

/// How many kernels launch() has started in this process.
int launches();

}  // namespace hearth::test
