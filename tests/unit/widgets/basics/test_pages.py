"""Pages: each image is on one of them, and the pages are spread over the dataset."""

from __future__ import annotations

import pytest

from ravl_explore.widgets.basics.pages import A_PAGE, n_pages, page_of, place


@pytest.mark.parametrize("n", [1, 5, 6, 7, 12, 13, 100])
@pytest.mark.parametrize("most", [None, 10])
def test_each_image_is_on_one_page(n: int, most: int | None) -> None:
    pages = [list(page_of(number, n, most)) for number in range(n_pages(n, most))]
    assert sorted(image for page in pages for image in page) == list(range(min(n, most or n)))
    assert all(1 <= len(page) <= A_PAGE for page in pages)


def test_the_place_counts_images_in_the_order_of_the_pages() -> None:
    assert [place(number, 13) for number in range(3)] == [
        "Images 1 to 5 of 13, drawn evenly.",
        "Images 6 to 9 of 13, drawn evenly.",
        "Images 10 to 13 of 13, drawn evenly.",
    ]
    assert place(0, 6) == "Images 1 to 6 of 6." and n_pages(0) == 1
