#include "data/manifest.hpp"

#include <catch2/catch.hpp>
#include <hearth/error.hpp>

#include "data/csv.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::data;
using Catch::Matchers::Contains;
using hearth::test::message_of;
using hearth::test::TemporaryFolder;
using Names = std::vector<std::string>;

namespace {
Manifest read(const std::string& text) {
    const TemporaryFolder folder;
    return read_manifest(folder.write("m.csv", text));
}
std::string error(const std::string& text) {
    return message_of<DataError>([&] { read(text); });
}
}  // namespace

TEST_CASE("a manifest's paths are resolved against its own folder") {
    const TemporaryFolder folder;
    folder.write(
        "sub/m.csv",
        "path,patient,split,label\nimages/a.png,P1,train,normal\n../b.png,P2,test,nodule\n/x/c.png,,,\n");
    const Manifest manifest = open(folder / "sub/m.csv");
    REQUIRE(manifest.columns == Names{"path", "patient", "split", "label"});
    REQUIRE(manifest.rows.size() == 3);
    CHECK(manifest.rows[0].path == (folder / "sub/images/a.png").string());
    CHECK(manifest.rows[1].path == (folder / "b.png").string());
    CHECK(manifest.rows[2].path == "/x/c.png");
    CHECK(manifest.rows[0].patient == "P1");
    CHECK(manifest.rows[1].split == "test");
    CHECK(manifest.rows[1].cells[manifest.column("label")] == "nodule");
    CHECK(manifest.rows[1].cells[manifest.column("path")] == "../b.png");
    CHECK(manifest.rows[2].line == 4);
}

TEST_CASE("a byte order mark, CRLF, blank lines and a missing last line end change nothing") {
    const Manifest plain = read("path,label\na.png,x\nb.png,y\n");
    const Manifest windows = read("\xEF\xBB\xBFpath,label\r\n\r\na.png,x\r\n\r\n\r\nb.png,y");
    REQUIRE(windows.columns == plain.columns);
    REQUIRE(windows.rows.size() == 2);
    CHECK(windows.rows[0].cells == plain.rows[0].cells);
    CHECK(windows.rows[1].cells == plain.rows[1].cells);
    CHECK(windows.rows[1].line == 6);
}

TEST_CASE("quoted fields hold commas, quotes and line ends") {
    const Manifest manifest =
        read("path,note\n\"a,1.png\",\"said \"\"no\"\"\ntwice\"\nb.png, \" kept \" \nc.png,  cut  \n");
    CHECK(manifest.rows[0].cells == Names{"a,1.png", "said \"no\"\ntwice"});
    CHECK(manifest.rows[1].cells[1] == " kept ");
    CHECK(manifest.rows[1].line == 4);
    CHECK(manifest.rows[2].cells[1] == "cut");
}

TEST_CASE("csv_field writes what parse_csv reads back") {
    for (const std::string field : {"plain", "", "a,b", "say \"x\"", "two\nlines", " blank ", "\r"}) {
        const auto records = parse_csv("first," + csv_field(field) + "\n", "test");
        REQUIRE(records.size() == 1);
        CHECK(records[0].fields == Names{"first", field});
    }
}

TEST_CASE("a header without path names the nearest column") {
    CHECK_THAT(error("paths,label\na.png,x\n"),
               Contains("m.csv:1: no column 'path'") && Contains("mean 'paths'"));
    CHECK_THAT(error("path;label\na.png;x\n"), Contains("separated by commas"));
    CHECK_THAT(error("image_file,label\na.png,x\n"), Contains("image_file, label") && Contains("for example"));
}

TEST_CASE("malformed manifests are refused with the line and the remedy") {
    CHECK_THAT(error("path,label\na.png,x\nb.png\n"), Contains("m.csv:3: found 1 fields; expected 2"));
    CHECK_THAT(error("path,label\n\na.png,x,1\n"), Contains("m.csv:3: found 3 fields; expected 2"));
    CHECK_THAT(error("path,label\n,x\n"), Contains("m.csv:2: the field 'path' is empty"));
    CHECK_THAT(error("path,a,a\nx.png,1,2\n"), Contains("m.csv:1: found column 'a' twice"));
    CHECK_THAT(error(",path\n0,x.png\n"), Contains("column 1 has no name") && Contains("index=False"));
    CHECK_THAT(error("path\n\"a.png\n"), Contains("m.csv:2") && Contains("never closed"));
    CHECK_THAT(error("path\n\"a\"b.png\n"), Contains("m.csv:2") && Contains("after a closing double quote"));
    CHECK_THAT(error("path\na\"b.png\n"), Contains("m.csv:2") && Contains("inside the unquoted field"));
    CHECK_THAT(error(std::string("\xFF\xFEp\0a\0", 6)), Contains("UTF-16"));
    CHECK_THAT(error(""), Contains("empty"));
    CHECK_THAT(error("path,label\n"), Contains("no rows"));
}

TEST_CASE("what is not there is a data error") {
    CHECK_THAT(message_of<DataError>([] { open("/nowhere/m.csv"); }), Contains("/nowhere/m.csv: not found"));
    CHECK_THROWS_AS(read_manifest("/nowhere/m.csv"), DataError);
    CHECK_THROWS_AS(read_folder("/nowhere"), DataError);
    const TemporaryFolder folder;
    folder.write("notes.txt", "x");
    CHECK_THAT(message_of<DataError>([&] { open(folder.path()); }), Contains("no image found"));
}

TEST_CASE("a folder is every image below it, sorted") {
    const TemporaryFolder folder;
    for (const char* name : {"b/2.JPG", "b/1.png", "a.jpeg", "z.PNG", "notes.txt", "png"})
        folder.write(name, "x");
    const Manifest manifest = open(folder.path());
    REQUIRE(manifest.columns == Names{"path"});
    Names names;
    for (const Row& row : manifest.rows) names.push_back(row.cells[0]);
    CHECK(names == Names{"a.jpeg", "b/1.png", "b/2.JPG", "z.PNG"});
    CHECK(manifest.rows[1].path == (folder / "b/1.png").string());
}

TEST_CASE("a folder also lists TIFF files, and DICOM files whose names have no extension") {
    const TemporaryFolder folder;
    const std::string dicom = std::string(128, '\0') + "DICM";
    for (const char* name : {"PAT1/IM000001", "PAT1/1.2.840.113619.2.5", "DICOMDIR", ".hidden"})
        folder.write(name, dicom);
    for (const char* name : {"a.tif", "b.TIFF", "LICENSE", "short"}) folder.write(name, "x");
    const Manifest manifest = open(folder.path());
    Names names;
    for (const Row& row : manifest.rows) names.push_back(row.cells[0]);
    CHECK(names == Names{"PAT1/1.2.840.113619.2.5", "PAT1/IM000001", "a.tif", "b.TIFF"});
    CHECK(manifest.skipped == "3 of 7 files are no images by their names and are not read (no extension: 3)");
}

TEST_CASE("class names are the distinct labels in sorted order, without the unlabelled") {
    const Manifest manifest = read("path,label\na,z\nb,m\nc,\nd,z\n");
    CHECK(class_names(manifest, "label") == Names{"m", "z"});
    CHECK_THAT(message_of<RecipeError>([&] { class_names(manifest, "lable"); }), Contains("mean 'label'"));
}
