// What the tests of importers share: miniature copies of data sets are made of empty files, tables and small
// DICOM files.
#pragma once

#include <catch2/catch.hpp>
#include <initializer_list>
#include <string>

#include <hearth/error.hpp>
#include "images/import/import.hpp"
#include "support/temporary_folder.hpp"

namespace hearth::test {

inline void touch(const TemporaryFolder& folder, std::initializer_list<const char*> names) {
    for (const char* name : names) folder.write(name, "image");
}

inline images::Imported read_set(const std::string& kind, const std::filesystem::path& folder,
                                 images::ImportRequest request = {}) {
    request.folder = folder;
    return images::find_importer(kind).read(request);
}

/// The manifest as text, paths relative to `folder`.
inline std::string manifest_of(const std::string& kind, const std::filesystem::path& folder,
                               const images::ImportRequest& request = {}) {
    return images::manifest_text(read_set(kind, folder, request), folder);
}

/// The message of the DataError that the import ends with.
inline std::string complaint_of(const std::string& kind, const std::filesystem::path& folder,
                                const images::ImportRequest& request = {}) {
    return message_of<DataError>([&] { read_set(kind, folder, request); });
}

/// All notes in one text.
inline std::string notes_of(const images::Imported& set) {
    std::string all;
    for (const std::string& note : set.notes) all += note + '\n';
    return all;
}

}  // namespace hearth::test
